"""Base classes of encoders: stages from a window to its embedding, of which an evaluation may freeze the first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from contrastive_har.strict import StrictModel

Sensors = tuple[tuple[int, ...], ...]
"""The channel indices of each sensor."""


class Encoder(nn.Module, ABC):
    """Normalised windows (batch, time, channels) to embeddings (batch, features), in stages.

    Attributes:
        features: Width of an embedding.
        shortest_window: Samples a window needs.
        calibrates: Whether :meth:`calibrate` does anything.
        raw: Whether it takes windows in their units instead of normalised ones.
    """

    calibrates: ClassVar[bool] = False
    raw: ClassVar[bool] = False

    features: int
    shortest_window: int

    @property
    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The trainable parts, from the window to the embedding."""

    @abstractmethod
    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) in the memory order of the first stage."""

    @abstractmethod
    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); frozen stages can thus be run once and their result reused."""

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.stages)

    def forward(self, windows: Tensor) -> Tensor:
        """Embed ``windows`` (batch, time, channels) as (batch, features).

        Raises:
            ValueError: if they are too short.
        """
        self.require_length(windows)
        return self.run(self.enter(windows), 0, self.depth)

    def calibrate(self, windows: Tensor) -> None:
        """Set what follows from statistics of unlabelled ``windows`` (windows, time, channels); nothing, by default."""

    def auxiliary_loss(self, activations: Tensor) -> Tensor | None:
        """Return a loss to add to that of the labels when all stages are trained with them; None, by default.

        Args:
            activations: What :meth:`enter` returned.
        """
        return None

    def require_length(self, windows: Tensor) -> None:
        """Refuse ``windows`` (batch, time, channels) that are too short.

        Raises:
            ValueError: if they are too short.
        """
        if windows.shape[1] < self.shortest_window:
            raise ValueError(
                f"Windows of {windows.shape[1]} samples are too short for this encoder, which needs "
                f"{self.shortest_window}. Lengthen windows.length."
            )


class BaseEncoderSettings(StrictModel, ABC):
    """Settings of an encoder: its shape.

    Attributes:
        name: Name of the encoder.
        package: An optional package whose code it runs; None if there is none.
    """

    package: ClassVar[str | None] = None
    name: str

    @property
    @abstractmethod
    def shortest_window(self) -> int:
        """Samples a window needs."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of stages."""

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return False

    def problem(self, sensor_channels: int, sensors: Sensors) -> str | None:
        """Return why it cannot embed windows of these channels, as the end of a sentence; None if it can.

        Args:
            sensor_channels: Channels of a window.
            sensors: Which of the channels are axes of one sensor, where that is known.
        """
        return None

    @abstractmethod
    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> Encoder:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``).

        Args:
            sensor_channels: Channels of a window.
            length: Samples of a window.
            sensors: Which of the channels are axes of one sensor, where that is known.
        """


def as_image(windows: Tensor) -> Tensor:
    """Return ``windows`` (batch, time, channels) as (batch, channels, 1, time), without copying.

    A one-dimensional convolution is written as a two-dimensional one of height 1: in the channels-last layout, which
    windows already have, its kernels are several times faster in bfloat16.
    """
    return windows.permute(0, 2, 1).unsqueeze(2)
