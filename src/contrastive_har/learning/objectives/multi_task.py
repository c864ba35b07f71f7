"""Multi-task self-supervision: recognise the transformation applied to a window (Saeed et al. 2019)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult, full_precision
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.augmentations import Augmentation, View
from contrastive_har.signals.augmentations.time import Permutation, TimeReversal, TimeWarp
from contrastive_har.signals.augmentations.values import ChannelShuffle, Negation, Noise, Rotation, Scaling
from contrastive_har.signals.sensors import Layout

_PUBLISHED: tuple[Augmentation, ...] = (
    Noise(),
    Scaling(),
    Rotation(),
    Negation(),
    TimeReversal(),
    Permutation(),
    TimeWarp(),
    ChannelShuffle(),
)


class MultiTaskSettings(BaseObjectiveSettings):
    """Transformation recognition (Saeed et al. 2019, arXiv 1907.11879), one binary task per transformation.

    The published training set has each window as recorded and once per transformation. Here each epoch has each window
    once, as recorded or with one transformation, at random: the same distribution, at the budget of the other methods.
    With several processes, each divides its own share.

    Attributes:
        transformations: Transformations to recognise; by default the eight published ones.
        hidden: Width of the hidden layer of each task.
    """

    name: Literal["multi_task"] = "multi_task"
    transformations: tuple[Augmentation, ...] = _PUBLISHED
    hidden: int = Field(default=256, gt=0)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> MultiTask:
        """Return the objective that trains ``encoder``."""
        return MultiTask(encoder, self, layout)

    def views_of(self, modality: str) -> tuple[View, ...]:
        """Return one view per transformation to recognise."""
        return tuple((transformation,) for transformation in self.transformations)


class MultiTask(Objective):
    """Predicts for each window and each transformation whether it was applied to the window.

    Args:
        encoder: The encoder to train, along with one small network per task.
        settings: Transformations and width.
        layout: Layout of a window.
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
        # A random order in equal parts: the first part stays as recorded, each other part gets one transformation.
        order = draws.uniform(windows).argsort()
        parts = windows.index_select(0, order).tensor_split(kinds)
        transformed = [parts[0]]
        for transform, part in zip(self.settings.transformations, parts[1:], strict=True):
            transformed.append(transform(part, draws, self.layout) if len(part) else part)
        sizes = torch.tensor([len(part) for part in parts])
        kind = torch.repeat_interleave(torch.arange(kinds), sizes).to(windows.device)
        with compute.autocast():
            embeddings = self.encoder(torch.cat(transformed))
            logits = full_precision(torch.cat([head(embeddings) for head in self.heads], dim=1))
        targets = functional.one_hot(kind, kinds)[:, 1:].to(logits.dtype)
        logits, targets = compute.gather(logits), compute.gather(targets)
        return StepResult(functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1).mean())
