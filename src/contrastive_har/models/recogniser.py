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
        temperature: Number that scores are divided by; it changes probabilities, but not which is the largest.
    """

    def __init__(self, backbone: Backbone, head: Head, temperature: float = 1.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.temperature = temperature

    def forward(self, windows: Tensor) -> Tensor:
        """Return probabilities (batch, classes) of raw ``windows`` (batch, time, channels), in the sensors' units."""
        return (self.score(windows) / self.temperature).softmax(1)

    def score(self, windows: Tensor) -> Tensor:
        """Return the scores of the classes (batch, classes) before temperature and softmax."""
        scores: Tensor = self.head(self.backbone(windows))
        return scores
