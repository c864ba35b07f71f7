"""FixMatch: encoder and head also learn from unlabelled windows, of which a weak and a strong view must agree."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.signals.augmentations import Draws, View, make_view
from contrastive_har.signals.sensors import Layout
from contrastive_har.strict import StrictModel


class Consistency(StrictModel):
    """How unlabelled windows of pre-training take part in training a head and all stages of its encoder.

    A window whose weak view is recognised surely enough is given that class, which its strong view should have too
    (FixMatch, Sohn et al. 2020, arXiv 2001.07685). Labelled windows are learned from as they are, where the
    paper takes weak views. The unlabelled windows are those of
    :class:`~contrastive_har.learning.evaluation.self_training.SelfTraining`.

    Attributes:
        weak: Augmentations of the view that is recognised.
        strong: Augmentations of the view that is learned from.
        threshold: Probability from which on a window is learned from.
        windows: Unlabelled windows in a step, for each labelled one.
        weight: Factor of the loss of the unlabelled windows.
    """

    weak: View
    strong: View
    threshold: float = Field(default=0.95, ge=0, lt=1)
    windows: int = Field(default=7, gt=0)
    weight: float = Field(default=1.0, gt=0)

    def loss(self, recognise: Callable[[Tensor], Tensor], windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        """Return the mean loss over all ``windows``; that of unsure ones is 0.

        Args:
            recognise: Returns class scores (batch, classes) of normalised windows.
            windows: Normalised windows (batch, time, channels).
            draws: Random numbers on the same device.
            layout: Layout of the windows.
        """
        with torch.no_grad():
            probability, recognised = recognise(make_view(windows, self.weak, draws, layout)).softmax(1).max(1)
        scores = recognise(make_view(windows, self.strong, draws, layout))
        losses = functional.cross_entropy(scores, recognised, reduction="none")
        return self.weight * (losses * (probability >= self.threshold)).mean()
