"""Convolutions pooled in a few equal parts of a window: cheap, and the order of events is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors, as_image
from contrastive_har.models.layers.differences import differences
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.linear import initialise_like_keras

Pooling = Literal["mean", "max", "both"]


class ConvBinsSettings(BaseEncoderSettings):
    """The encoder's shape; it is this project's own.

    Attributes:
        channels: Filters of each convolution.
        kernels: Length of each convolution; odd, so that the number of samples stays the same.
        bins: Equal parts of the window that are pooled; neighbours share a sample where the window does not divide.
        pooling: ``mean`` or ``max`` over the samples of each part, or ``both``.
        differences: Whether the differences of neighbouring samples are channels as well.
        batch_norm: Whether a convolution is followed by batch normalisation.
        dropout: Share of activations dropped after each convolution.
    """

    name: Literal["conv_bins"] = "conv_bins"
    channels: tuple[int, ...] = Field(default=(64, 128, 128), min_length=1)
    kernels: tuple[int, ...] = (5, 5, 5)
    bins: int = Field(default=4, gt=0)
    pooling: Pooling = "mean"
    differences: bool = False
    batch_norm: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_an_odd_kernel_for_each_convolution(self) -> ConvBinsSettings:
        if len(self.channels) != len(self.kernels):
            raise ValueError(f"channels {self.channels} and kernels {self.kernels} must be equally many")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels {self.kernels} must be odd, so that the number of samples stays the same")
        return self

    @property
    def shortest_window(self) -> int:
        """Samples that give each part one of its own."""
        return self.bins

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> ConvBins:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return ConvBins(sensor_channels, self)


class ConvBins(Encoder):
    """Convolutions that keep the length, each with ReLU, then the mean or maximum of each part of the window.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: ConvBinsSettings) -> None:
        super().__init__()
        self.settings = settings
        self.features = settings.channels[-1] * settings.bins * (2 if settings.pooling == "both" else 1)
        self.shortest_window = settings.shortest_window
        inputs = (sensor_channels * (2 if settings.differences else 1), *settings.channels[:-1])
        self.blocks = nn.ModuleList(
            _block(before, after, kernel, settings)
            for before, after, kernel in zip(inputs, settings.channels, settings.kernels, strict=True)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution with what follows it."""
        return list(self.blocks)

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels), with differences if configured, as (batch, channels, 1, time)."""
        if self.settings.differences:
            windows = torch.cat([windows, differences(windows)], dim=2)
        return as_image(windows)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one also pools."""
        for stage in range(first, end):
            activations = self.blocks[stage](activations)
            if stage == self.depth - 1:
                activations = pool_bins(activations, self.settings.bins, self.settings.pooling)
        return activations


def pool_bins(activations: Tensor, bins: int, pooling: Pooling) -> Tensor:
    """Return the mean, the maximum or both over each of ``bins`` parts of time.

    Args:
        activations: (batch, channels, 1, time).
        bins: Number of parts.
        pooling: What is taken of each part.

    Returns:
        (batch, channels times bins), the parts of a channel side by side; for ``both`` means, then maxima.
    """
    pooled = []
    if pooling != "max":
        pooled.append(functional.adaptive_avg_pool2d(activations, (1, bins)).flatten(1))
    if pooling != "mean":
        # PyTorch's adaptive maximum, whose parts these are too, cannot be exported to ONNX.
        length = activations.shape[-1]
        edges = [(part * length // bins, -(-(part + 1) * length // bins)) for part in range(bins)]
        parts = [activations[..., first:end].amax((2, 3)) for first, end in edges]
        pooled.append(torch.stack(parts, dim=2).flatten(1))
    return torch.cat(pooled, dim=1)


def _block(before: int, after: int, kernel: int, settings: ConvBinsSettings) -> nn.Sequential:
    """Return one convolution, normalised if configured, with ReLU and dropout."""
    convolution = nn.Conv2d(before, after, (1, kernel), padding=(0, kernel // 2))
    parts: list[nn.Module] = [initialise_like_keras(convolution)]
    if settings.batch_norm:
        parts.append(nn.BatchNorm2d(after))
    return nn.Sequential(*parts, nn.ReLU(inplace=True), Dropout(settings.dropout))
