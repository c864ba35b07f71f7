"""Learned filters at several dilations, pooled over time in several ways: a Rocket whose filters are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.layers.companding import compand
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.linear import initialise_like_keras

Pooling = Literal["positive", "mean", "max"]
_SMALLEST = 1e-6
_SHARPNESS = 4.0  # of the logistic function: 0.98 of the way from 0 to 1 at a deviation from zero


class DilatedFiltersSettings(BaseEncoderSettings):
    """The encoder's shape; it is this project's own.

    What is taken of a filter's outputs are those of Rocket and MiniRocket (Dempster et al. 2020, arXiv 1910.13051, and
    2021, arXiv 2012.08791) and their means.

    Attributes:
        filters: Filters of each dilation.
        kernel: Length of each filter; odd, so that the number of samples stays the same.
        dilations: Samples from one weight of a filter to the next.
        pooling: What is taken of each filter's outputs: ``positive`` their share above zero, softened so that it has a
            gradient; ``mean`` and ``max`` of what is above zero.
        companding: Deviation from which movements are compressed before the filters
            (:mod:`contrastive_har.models.layers.companding`); null leaves windows as they are.
        dropout: Share of the embedding dropped in training.
    """

    name: Literal["dilated_filters"] = "dilated_filters"
    filters: int = Field(default=64, gt=0)
    kernel: int = Field(default=9, gt=0)
    dilations: tuple[int, ...] = Field(default=(1, 2, 4, 8), min_length=1)
    pooling: tuple[Pooling, ...] = Field(default=("positive", "mean", "max"), min_length=1)
    companding: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_filters_that_fit(self) -> DilatedFiltersSettings:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd, so that the number of samples stays the same")
        if min(self.dilations) < 1:
            raise ValueError(f"dilations {self.dilations} must be positive")
        if len(set(self.pooling)) < len(self.pooling):
            raise ValueError(f"pooling {self.pooling} names one twice")
        return self

    @property
    def shortest_window(self) -> int:
        """A single sample: convolutions are padded."""
        return 1

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages: all filters are one."""
        return 1

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> DilatedFilters:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return DilatedFilters(sensor_channels, self)


class DilatedFilters(Encoder):
    """Convolutions of the window, side by side, each with its own dilation.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: DilatedFiltersSettings) -> None:
        super().__init__()
        self.pooling = settings.pooling
        self.companding = settings.companding
        self.features = settings.filters * len(settings.dilations) * len(settings.pooling)
        self.shortest_window = settings.shortest_window
        self.filters = nn.ModuleList(
            initialise_like_keras(_convolution(sensor_channels, settings, dilation)) for dilation in settings.dilations
        )
        self.dropout = Dropout(settings.dropout)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The filters."""
        return [self.filters]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels), companded if configured, as (batch, channels, time)."""
        return (windows if self.companding is None else compand(windows, self.companding)).transpose(1, 2)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run the only stage, or none."""
        if first == end:
            return activations
        pooled = [pool_filters(convolve(activations), self.pooling) for convolve in self.filters]
        dropped: Tensor = self.dropout(torch.cat(pooled, dim=1))
        return dropped


def pool_filters(outputs: Tensor, pooling: Sequence[Pooling]) -> Tensor:
    """Return what is taken of the outputs (batch, filters, time) of filters: (batch, ways of pooling times filters).

    The share of positive outputs is the mean of their logistic function, after division by their deviation over time:
    as the share itself, it depends on how they lie around zero, not on their scale.
    """
    pooled = []
    for way in pooling:
        if way == "positive":
            deviation = outputs.square().mean(2, keepdim=True).add(_SMALLEST).sqrt()
            pooled.append((_SHARPNESS * outputs / deviation).sigmoid().mean(2))
        else:
            positive = outputs.relu()
            pooled.append(positive.mean(2) if way == "mean" else positive.amax(2))
    return torch.cat(pooled, dim=1)


def _convolution(channels: int, settings: DilatedFiltersSettings, dilation: int) -> nn.Conv1d:
    padding = dilation * (settings.kernel // 2)
    return nn.Conv1d(channels, settings.filters, settings.kernel, padding=padding, dilation=dilation)
