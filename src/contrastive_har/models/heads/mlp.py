"""A multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.layers.linear import perceptron


class MLPSettings(BaseHeadSettings):
    """A multi-layer perceptron with ReLU, with which CSSHAR and CPC evaluate encoders.

    Attributes:
        hidden: Widths of the hidden layers.
        dropout: Share of hidden activations dropped in training.
    """

    name: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = Field(default=(256, 128), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    def build(self, features: int, classes: Sequence[str]) -> MLP:
        """Return an untrained perceptron."""
        return MLP(features, len(classes), self)


class MLP(Head):
    """Linear layers, each hidden one followed by ReLU and dropout.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Widths and dropout.
    """

    def __init__(self, features: int, classes: int, settings: MLPSettings) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in perceptron(features, (*settings.hidden, classes)):
            layers += [layer, nn.Dropout(settings.dropout)] if isinstance(layer, nn.ReLU) else [layer]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features)."""
        scores: Tensor = self.layers(features)
        return scores
