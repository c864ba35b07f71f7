"""A transformer layer with a choice of feed-forward part and normalisation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from contrastive_har.models.layers.attention import SelfAttention
from contrastive_har.models.layers.dropout import Dropout


class TransformerLayer(nn.Module):
    """Self-attention over steps, then a feed-forward part; each is added to its input, and the sum normalised.

    With a perceptron and layer normalisation this is ``nn.TransformerEncoderLayer``, except that attention is not
    dropped.

    Args:
        width: Features of a step.
        heads: Attention heads, of which ``width`` is a multiple.
        dropout: Share dropped of the outputs of both parts.
        feedforward: Takes and returns steps (batch, steps, width).
        norm: Returns a normalisation of steps of a width.
    """

    def __init__(
        self, width: int, heads: int, dropout: float, feedforward: nn.Module, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads, batch_first=True)
        self.feedforward = feedforward
        self.norm1, self.norm2 = norm(width), norm(width)
        self.dropout = Dropout(dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """Return ``steps`` (batch, steps, width) after attention and the feed-forward part, in the same shape."""
        attended, _ = self.self_attn(steps, steps, steps, need_weights=False)
        steps = self.norm1(steps + self.dropout(attended))
        normalised: Tensor = self.norm2(steps + self.dropout(self.feedforward(steps)))
        return normalised


class BatchNormOfSteps(nn.BatchNorm1d):
    """Batch normalisation of steps (batch, steps, width): of each feature, over all steps of all windows."""

    def forward(self, steps: Tensor) -> Tensor:
        """Normalise ``steps`` (batch, steps, width)."""
        return super().forward(steps.transpose(1, 2)).transpose(1, 2)
