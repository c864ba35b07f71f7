"""THAT, the two-stream convolution-augmented transformer (Li et al. 2021, AAAI 35(1), 286-293)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.gaussian_range import GaussianRange
from contrastive_har.models.layers.transformer import TransformerLayer

Kernels = Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]


class THATSettings(BaseEncoderSettings):
    """The encoder's shape; numbers are those published for Wi-Fi signals of 90 channels.

    Attributes:
        heads: Most attention heads of a layer, which has as many of them as divide its width.
        temporal_layers: Layers of the stream whose steps are the samples.
        channel_layers: Layers of the stream whose steps are the channels.
        ranges: Ranges of time to which samples of the temporal stream belong.
        scales: Lengths of the convolutions in a layer; odd. They are not published.
        temporal_filters: Filters of each last convolution of the temporal stream.
        temporal_kernels: Their lengths, in samples.
        channel_filters: Filters of each last convolution of the channel stream.
        channel_kernels: Their lengths, in channels; cut where a window has fewer channels.
        dropout: Share of activations dropped in the layers and in the embedding.
    """

    name: Literal["that"] = "that"
    heads: int = Field(default=9, gt=0)
    temporal_layers: int = Field(default=5, gt=0)
    channel_layers: int = Field(default=1, gt=0)
    ranges: int = Field(default=10, gt=0)
    scales: Kernels = (1, 3, 5)
    temporal_filters: int = Field(default=128, gt=0)
    temporal_kernels: Kernels = (10, 40)
    channel_filters: int = Field(default=16, gt=0)
    channel_kernels: Kernels = (2, 4)
    dropout: float = Field(default=0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _keeps_the_steps(self) -> THATSettings:
        if any(scale % 2 == 0 for scale in self.scales):
            raise ValueError(f"scales {self.scales} must be odd, so that the number of steps stays the same")
        return self

    @property
    def shortest_window(self) -> int:
        """Samples of the longest convolution."""
        return max(self.temporal_kernels)

    @property
    def depth(self) -> int:
        """Number of stages: the layers, those of both streams side by side, then the last convolutions."""
        return max(self.temporal_layers, self.channel_layers) + 1

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> THAT:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return THAT(sensor_channels, length, self)


class THAT(Encoder):
    """Transformer layers over samples, others over channels; then convolutions and their maxima, side by side.

    The last layers of both streams belong to the same stage. The parts of a layer are normalised after they are added.

    Args:
        sensor_channels: Channels of a window, the width of the temporal stream.
        length: Samples of a window, the width of the channel stream.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, length: int, settings: THATSettings) -> None:
        super().__init__()
        self.shortest_window = length
        temporal = [_layer(sensor_channels, settings) for _ in range(settings.temporal_layers)]
        temporal[0] = nn.Sequential(GaussianRange(length, sensor_channels, settings.ranges), temporal[0])
        channel = [_layer(length, settings) for _ in range(settings.channel_layers)]
        count = settings.depth - 1
        self.temporal = nn.ModuleList([nn.Identity()] * (count - len(temporal)) + temporal)
        self.channel = nn.ModuleList([nn.Identity()] * (count - len(channel)) + channel)
        self.over_time = nn.ModuleList(
            nn.Conv1d(sensor_channels, settings.temporal_filters, kernel) for kernel in settings.temporal_kernels
        )
        self.over_channels = nn.ModuleList(
            nn.Conv1d(length, settings.channel_filters, min(kernel, sensor_channels))
            for kernel in settings.channel_kernels
        )
        convolutions = [cast(nn.Conv1d, one) for one in (*self.over_time, *self.over_channels)]
        self.features = sum(one.out_channels for one in convolutions)
        self.dropout = Dropout(settings.dropout)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The layers, those of both streams side by side, then the last convolutions."""
        return [
            *(nn.ModuleList(layers) for layers in zip(self.temporal, self.channel, strict=True)),
            nn.ModuleList([self.over_time, self.over_channels]),
        ]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as the start of both streams (batch, 2, time, channels)."""
        return torch.stack([windows, windows], dim=1)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded)."""
        for stage in range(first, end):
            temporal, channel = activations.unbind(1)
            if stage < len(self.temporal):
                temporal = self.temporal[stage](temporal)
                channel = self.channel[stage](channel.transpose(1, 2)).transpose(1, 2)
                activations = torch.stack([temporal, channel], dim=1)
                continue
            maxima = [convolve(temporal.transpose(1, 2)).amax(2) for convolve in self.over_time]
            maxima += [convolve(channel).amax(2) for convolve in self.over_channels]
            activations = self.dropout(functional.relu(torch.cat(maxima, dim=1)))
        return activations


class _MultiScale(nn.Module):
    """The mean of convolutions of several lengths over the steps (batch, steps, width), each with ReLU."""

    def __init__(self, width: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, scale, padding=scale // 2), nn.BatchNorm1d(width), nn.ReLU())
            for scale in scales
        )

    def forward(self, steps: Tensor) -> Tensor:
        features = steps.transpose(1, 2)
        return torch.stack([convolve(features) for convolve in self.convolutions]).mean(0).transpose(1, 2)


def _layer(width: int, settings: THATSettings) -> nn.Module:
    heads = max(count for count in range(1, settings.heads + 1) if width % count == 0)
    return TransformerLayer(width, heads, settings.dropout, _MultiScale(width, settings.scales), nn.LayerNorm)
