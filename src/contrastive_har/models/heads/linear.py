"""The linear head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.layers.linear import linear


class LinearSettings(BaseHeadSettings):
    """A linear head: multinomial logistic regression, trained by gradient."""

    stacks: ClassVar[bool] = True

    name: Literal["linear"] = "linear"

    def build(self, features: int, classes: Sequence[str]) -> Linear:
        """Return an untrained linear head."""
        return Linear(features, len(classes))


class Linear(Head):
    """One linear layer.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features)."""
        scores: Tensor = self.linear(features)
        return scores
