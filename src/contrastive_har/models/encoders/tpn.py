"""TPN, the transformation-prediction network's convolutional encoder used by ClusterCLHAR (its section on encoders)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors, as_image
from contrastive_har.models.layers.companding import compand
from contrastive_har.models.layers.convolution import Convolution
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.linear import initialise_like_keras
from contrastive_har.models.layers.pooling import convolve_and_pool, global_max_pool


class TPNSettings(BaseEncoderSettings):
    """The encoder's shape; the defaults are the published ones.

    Attributes:
        channels: Filters of each convolution.
        kernels: Length of each convolution.
        dropout: Share of activations dropped in training.
        companding: Deviation, in standard deviations, from which movements are compressed before the first
            convolution; null, as published, leaves windows as they are.
    """

    name: Literal["tpn"] = "tpn"
    channels: tuple[int, ...] = (32, 64, 96)
    kernels: tuple[int, ...] = (24, 16, 8)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    companding: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_a_kernel_for_each_convolution(self) -> TPNSettings:
        if not self.channels or len(self.channels) != len(self.kernels):
            raise ValueError(f"channels {self.channels} and kernels {self.kernels} must be equally many")
        return self

    @property
    def shortest_window(self) -> int:
        """Fewest samples for which a convolution output is left."""
        return sum(self.kernels) - len(self.kernels) + 1

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> TPN:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return TPN(sensor_channels, self)


class TPN(Encoder):
    """Three valid convolutions with ReLU and dropout, then the maximum over time.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: TPNSettings) -> None:
        super().__init__()
        self.features = settings.channels[-1]
        self.shortest_window = settings.shortest_window
        inputs = (sensor_channels, *settings.channels[:-1])
        self.convolutions = nn.ModuleList(
            initialise_like_keras(Convolution(before, after, (1, kernel)))
            for before, after, kernel in zip(inputs, settings.channels, settings.kernels, strict=True)
        )
        self.dropout = Dropout(settings.dropout)
        self.companding = settings.companding
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The convolutions."""
        return list(self.convolutions)

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels), companded if configured, as (batch, channels, 1, time)."""
        return as_image(windows if self.companding is None else compand(windows, self.companding))

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded).

        Each stage is a convolution with ReLU; the last one also takes the maximum over time. Dropout is applied to the
        input of each stage after the first, and to the features before pooling, as in the published encoder.
        """
        for stage in range(first, end):
            convolution = cast(Convolution, self.convolutions[stage])
            if stage > 0:
                activations = self.dropout(activations)
            if stage < self.depth - 1:
                activations = functional.relu(convolution(activations), inplace=True)
                continue
            if self.dropout.drops:
                pooled = global_max_pool(self.dropout(convolution(activations)))
            else:
                pooled = convolve_and_pool(activations, convolution.weight, cast(Tensor, convolution.bias))
            # ReLU commutes with dropout and with the maximum, and is cheapest after pooling.
            activations = functional.relu(pooled)
        return activations
