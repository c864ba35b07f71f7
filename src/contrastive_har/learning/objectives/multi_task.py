"""Multi-task self-supervision: recognise which transformation a window went through (Saeed et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult, full_precision
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Augmentation
from contrastive_har.signals.sensors import Layout


class MultiTaskSettings(BaseObjectiveSettings):
    """Transformation recognition (Saeed et al. 2019, arXiv 1907.11879), one binary task per transformation.

    The published training set holds each window as recorded and once through each transformation. Here each epoch shows
    each window once, as recorded or through one transformation, at random: the same distribution, and the budget of the
    other methods. Of several processes each divides its own share.

    Attributes:
        transformations: What is to be recognised.
        hidden: Width of each task's hidden layer.
    """

    name: Literal["multi_task"] = "multi_task"
    transformations: tuple[Augmentation, ...] = tuple(a for a in ALL_AUGMENTATIONS if a.name != "resampling")
    hidden: int = Field(default=256, gt=0)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> MultiTask:
        """Return the objective that trains ``encoder``."""
        return MultiTask(encoder, self, layout)

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """What is to be recognised."""
        return self.transformations


class MultiTask(Objective):
    """Tells for each window and each transformation whether the window went through it.

    Args:
        encoder: What is trained, along with one small network per task.
        settings: Transformations and width.
        layout: Of a window.
    """

    def __init__(self, encoder: Encoder, settings: MultiTaskSettings, layout: Layout) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.layout = layout
        self.heads = nn.ModuleList(perceptron(encoder.features, (settings.hidden, 1)) for _ in settings.transformations)

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the sum over tasks of the mean binary cross-entropy of ``windows`` (batch, time, channels)."""
        compute, draws = step.compute, step.draws(windows)
        kinds = len(self.settings.transformations) + 1
        # A random order, divided into equal parts: the first stays as recorded, each other is transformed in its way.
        order = draws.uniform(windows).argsort()
        parts = windows.index_select(0, order).tensor_split(kinds)
        shown = [parts[0]]
        for transform, part in zip(self.settings.transformations, parts[1:], strict=True):
            shown.append(transform(part, draws, self.layout) if len(part) else part)
        sizes = torch.tensor([len(part) for part in parts])
        kind = torch.repeat_interleave(torch.arange(kinds), sizes).to(windows.device)
        with compute.autocast():
            embeddings = self.encoder(torch.cat(shown))
            logits = full_precision(torch.cat([head(embeddings) for head in self.heads], dim=1))
        truth = functional.one_hot(kind, kinds)[:, 1:].to(logits.dtype)
        logits, truth = compute.gather(logits), compute.gather(truth)
        return StepResult(functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1).mean())
