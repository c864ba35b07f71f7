"""The complete network: raw windows to probabilities of activities."""

from __future__ import annotations

from torch import Tensor, nn

from contrastive_har.models.backbone import Backbone
from contrastive_har.models.heads import Head


class Recogniser(nn.Module):
    """Backbone and head in one.

    Args:
        backbone: Embeds raw windows.
        head: Scores embeddings.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, windows: Tensor) -> Tensor:
        """Return probabilities (batch, classes) of raw ``windows`` (batch, time, channels), in the sensors' units."""
        probabilities: Tensor = self.head(self.backbone(windows)).softmax(1)
        return probabilities
