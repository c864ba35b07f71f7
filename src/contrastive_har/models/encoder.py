"""What every encoder is: stages from a window to its embedding, of which an evaluation may freeze the first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Encoder(nn.Module, ABC):
    """Windows (batch, time, channels) to embeddings (batch, features), in stages.

    Attributes:
        features: Width of an embedding.
        shortest_window: Samples a window needs.
    """

    features: int
    shortest_window: int

    @property
    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The trainable parts, from the window to the embedding."""

    @abstractmethod
    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) in the memory order the first stage works in."""

    @abstractmethod
    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); frozen stages can so be run once and their result kept."""

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.stages)

    def forward(self, windows: Tensor) -> Tensor:
        """Embed ``windows`` (batch, time, channels) as (batch, features).

        Raises:
            ValueError: if they are too short.
        """
        if windows.shape[1] < self.shortest_window:
            raise ValueError(
                f"Windows of {windows.shape[1]} samples are too short for this encoder, which needs "
                f"{self.shortest_window}. Lengthen windows.length."
            )
        return self.run(self.enter(windows), 0, self.depth)


def as_image(windows: Tensor) -> Tensor:
    """Return ``windows`` (batch, time, channels) as (batch, channels, 1, time), without copying.

    A one-dimensional convolution is written as a two-dimensional one of height 1: in the channels-last layout, which
    windows already have, its kernels are several times faster in bfloat16.
    """
    return windows.permute(0, 2, 1).unsqueeze(2)


def initialise_like_keras(layer: Layer) -> Layer:
    """Return ``layer`` with Glorot-uniform weights and zero bias, the defaults of the published models' framework."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
