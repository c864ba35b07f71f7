"""A complete network for use: raw windows to probabilities of activities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastive_har.models.encoder import Encoder
from contrastive_har.models.heads import linear_classifier


class Recogniser(nn.Module):
    """Normalisation, encoder and linear classifier in one.

    Args:
        encoder: Embeds normalised windows.
        channels: Channels of a window.
        classes: Number of activities.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: Encoder, channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = linear_classifier(encoder.features, classes)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def forward(self, windows: Tensor) -> Tensor:
        """Return probabilities (batch, classes) of raw ``windows`` (batch, time, channels), in the sensors' units."""
        embeddings = self.encoder((windows - self.mean) / self.deviation)
        probabilities: Tensor = self.classifier(embeddings).softmax(1)
        return probabilities
