"""Supervised contrast: the encoder learns that labelled windows of one activity belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.layers.linear import linear, perceptron


class SupConSettings(BaseHeadSettings):
    """Supervised contrastive learning (Khosla et al. 2020, arXiv 2004.11362).

    The published training has two parts: contrast, then a linear classifier on the frozen encoder. Here the classifier
    is trained beside the contrast, on embeddings through which it sends no gradient.

    Attributes:
        temperature: Divisor of the similarities of projections.
        projection: Widths of the layers of the projection head.
    """

    name: Literal["supcon"] = "supcon"
    temperature: float = Field(default=0.1, ge=0.01)
    projection: tuple[int, ...] = Field(default=(96, 96), min_length=1)

    def build(self, features: int, classes: Sequence[str]) -> SupCon:
        """Return an untrained head."""
        return SupCon(features, len(classes), self)


class SupCon(Head):
    """A linear classifier, and a projection head for the contrast.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Temperature and projection head.
    """

    def __init__(self, features: int, classes: int, settings: SupConSettings) -> None:
        super().__init__()
        self.temperature = settings.temperature
        self.linear = linear(features, classes)
        self.projection = perceptron(features, settings.projection)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features)."""
        scores: Tensor = self.linear(features)
        return scores

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the contrast of ``features`` (batch, features) and the classifier's loss, added."""
        projections = functional.normalize(self.projection(features), dim=1)
        classified = functional.cross_entropy(self(features.detach()), targets)
        return classified + supervised_contrast(projections, targets, self.temperature)


def supervised_contrast(projections: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the mean, over windows that share their class with another, of the loss of eq. 2 (L_out).

    With the other windows p of the class of window i::

        L_i = -(mean over p of log(exp(z_i z_p / temperature) / sum over k != i of exp(z_i z_k / temperature)))

    Args:
        projections: L2-normalised projections (batch, features).
        targets: Class indices (batch,).
        temperature: Divisor of the similarities.
    """
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    positive = (targets[:, None] == targets) & ~itself
    similarities = projections @ projections.T / temperature
    likelihood = similarities - similarities.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    counts = positive.sum(1)
    losses = -likelihood.masked_fill(~positive, 0).sum(1) / counts.clamp(min=1)
    return losses.sum() / (counts > 0).sum().clamp(min=1)
