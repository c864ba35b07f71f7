"""MA-CNN: convolutions of each sensor by itself, then of all together a dense layer (Radu et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors, as_image
from contrastive_har.models.layers.linear import initialise_like_keras, linear

_POOL = 2


class MACNNSettings(BaseEncoderSettings):
    """The encoder's shape.

    Attributes:
        channels: Filters of each convolution, of every sensor; each is followed by pooling by two.
        kernel: Length of the convolutions.
        hidden: Width of the dense layer and of the embedding.
    """

    name: Literal["ma_cnn"] = "ma_cnn"
    channels: tuple[int, ...] = Field(default=(64, 64), min_length=1)
    kernel: int = Field(default=5, gt=0)
    hidden: int = Field(default=128, gt=0)

    @property
    def shortest_window(self) -> int:
        """Fewest samples of which the convolutions and poolings leave one."""
        needed = 1
        for _ in self.channels:
            needed = _POOL * needed + self.kernel - 1
        return needed

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels) + 1

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> MACNN:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``).

        Args:
            sensor_channels: Channels of a window.
            length: Samples of a window.
            sensors: The channel indices of each sensor; channels of none are taken as one more.
        """
        others = tuple(sorted(set(range(sensor_channels)) - set(chain.from_iterable(sensors))))
        return MACNN((*sensors, others) if others else sensors, length, self)


class MACNN(Encoder):
    """For each sensor valid convolutions, each with ReLU and max pooling; then a dense layer with ReLU.

    Args:
        sensors: The channel indices of each sensor.
        length: Samples of a window.
        settings: Shape of the encoder.
    """

    order: Tensor

    def __init__(self, sensors: Sensors, length: int, settings: MACNNSettings) -> None:
        super().__init__()
        self.features = settings.hidden
        self.shortest_window = length
        widths = [len(axes) for axes in sensors]
        steps = length
        blocks: list[nn.Module] = []
        for filters in settings.channels:
            blocks.append(_Branches(widths, filters, settings.kernel))
            widths = [filters] * len(sensors)
            steps = max(0, steps - settings.kernel + 1) // _POOL
        self.blocks = nn.ModuleList(blocks)
        self.dense = nn.Sequential(nn.Flatten(), linear(sum(widths) * steps, settings.hidden), nn.ReLU())
        # On the CPU also if the encoder is built on the meta device, for its shapes only.
        order = torch.tensor(list(chain.from_iterable(sensors)), device="cpu")
        self.register_buffer("order", order, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution of all sensors, then the dense layer."""
        return [*self.blocks, self.dense]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels), sensor by sensor, as (batch, channels, 1, time)."""
        return as_image(windows[..., self.order])

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded)."""
        for stage in self.stages[first:end]:
            activations = stage(activations)
        return activations


class _Branches(nn.Module):
    """A convolution for each sensor, with ReLU and max pooling."""

    def __init__(self, widths: Sequence[int], filters: int, kernel: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.convolutions = nn.ModuleList(
            initialise_like_keras(nn.Conv2d(width, filters, (1, kernel))) for width in widths
        )

    def forward(self, activations: Tensor) -> Tensor:
        """Return (batch, sensors x filters, 1, time), of ``activations`` (batch, channels of all sensors, 1, time)."""
        parts = zip(self.convolutions, activations.split(self.widths, dim=1), strict=True)
        convolved = torch.cat([convolution(part) for convolution, part in parts], dim=1)
        return nn.functional.max_pool2d(convolved, (1, _POOL)).relu_()
