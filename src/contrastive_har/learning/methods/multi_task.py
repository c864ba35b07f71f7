"""Multi-task self-supervision: recognise which transformation a window went through (Saeed et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.methods.base import Learner, Objective, Step, draws_for, full_precision
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.heads import projection_head
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Augmentation


class MultiTask(Objective):
    """Transformation recognition (Saeed et al. 2019, arXiv 1907.11879), one binary task a transformation.

    The published training set holds each window as recorded and once through each transformation. Here each epoch shows
    each window once, as recorded or through one transformation, at random: the same distribution, and the budget of the
    other methods. Of several processes each divides its own share.

    Attributes:
        transformations: What is to be recognised.
        hidden: Width of each task's hidden layer.
    """

    objective: Literal["multi_task"] = "multi_task"
    transformations: tuple[Augmentation, ...] = tuple(a for a in ALL_AUGMENTATIONS if a.name != "resampling")
    hidden: int = Field(default=256, gt=0)

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> TransformationRecognition:
        """Return a learner that trains ``encoder``."""
        return TransformationRecognition(encoder, self)

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """What is to be recognised."""
        return self.transformations


class TransformationRecognition(Learner):
    """Asks of each window and each transformation whether the one went through the other.

    Args:
        encoder: What is trained, along with one small network a task.
        settings: The method's settings.
    """

    def __init__(self, encoder: Encoder, settings: MultiTask) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.heads = nn.ModuleList(
            projection_head(encoder.features, (settings.hidden, 1)) for _ in settings.transformations
        )

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return the sum over tasks of the mean binary cross-entropy of ``windows`` (batch, time, channels)."""
        draws = draws_for(windows, seed, compute)
        kinds = len(self.settings.transformations) + 1
        # A random order, divided into equal parts: the first stays as recorded, each other is transformed in its way.
        order = draws.uniform(windows).argsort()
        parts = windows.index_select(0, order).tensor_split(kinds)
        shown = [parts[0]]
        for transform, part in zip(self.settings.transformations, parts[1:], strict=True):
            shown.append(transform(part, draws) if len(part) else part)
        sizes = torch.tensor([len(part) for part in parts])
        kind = torch.repeat_interleave(torch.arange(kinds), sizes).to(windows.device)
        with compute.autocast():
            embeddings = self.encoder(torch.cat(shown))
            logits = full_precision(torch.cat([head(embeddings) for head in self.heads], dim=1))
        truth = functional.one_hot(kind, kinds)[:, 1:].to(logits.dtype)
        logits, truth = compute.gather(logits), compute.gather(truth)
        return Step(functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1).mean())
