"""Rocket: random convolutions, how often each is positive, and its maximum (Dempster et al. 2020, arXiv 1910.13051)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.encoders.base import Sensors
from contrastive_har.models.encoders.computed import ComputedFeatures, ComputedFeaturesSettings, random_channels

_LENGTHS = (7, 9, 11)
_AT_ONCE = 2**14  # outputs of a window, which bounds the memory


class RocketSettings(ComputedFeaturesSettings):
    """Rocket's kernels.

    Attributes:
        kernels: Number of kernels, each of two features.
    """

    name: Literal["rocket"] = "rocket"
    kernels: int = Field(default=10_000, ge=1)

    @property
    def shortest_window(self) -> int:
        """Samples that the longest kernel spans."""
        return max(_LENGTHS)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> Rocket:
        """Return the features of windows (batch, ``length``, ``sensor_channels``); not calibrated."""
        return Rocket(sensor_channels, length, self)


class Rocket(ComputedFeatures):
    """Convolutions with random kernels: the share of time at which each is positive, and its maximum.

    A kernel has 7, 9 or 11 weights from a normal distribution, less their mean, for each of a random subset of the
    channels, and a bias between -1 and 1. It is dilated by 2^x, with x between 0 and where it spans a window. Half the
    kernels are padded with zeros.

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Number of kernels.
    """

    weights: Tensor
    biases: Tensor
    shapes: Tensor

    def __init__(self, sensor_channels: int, length: int, settings: RocketSettings) -> None:
        super().__init__(2 * settings.kernels, length)
        self.register_buffer("weights", torch.zeros(settings.kernels, sensor_channels, max(_LENGTHS)))
        self.register_buffer("biases", torch.zeros(settings.kernels))
        # Length, dilation, and whether it is padded; kernels of one shape are neighbours.
        self.register_buffer("shapes", torch.tensor([min(_LENGTHS), 1, 0]).repeat(settings.kernels, 1))
        self.groups = [(min(_LENGTHS), 1, 0, settings.kernels)]
        self.register_load_state_dict_post_hook(_group_loaded)  # type: ignore[no-untyped-call]

    def calibrate(self, windows: Tensor) -> None:
        """Draw the kernels; z-score their features of ``windows`` (windows, time, channels)."""
        kernels, channels, _ = self.weights.shape
        lengths = torch.tensor(_LENGTHS)[torch.randint(len(_LENGTHS), (kernels,))]
        largest = torch.log2((self.shortest_window - 1) / (lengths - 1))
        dilations = (2 ** (torch.rand(kernels) * largest)).long()
        shapes = torch.stack([lengths, dilations, torch.randint(2, (kernels,))], dim=1)
        different, counts = shapes.unique(dim=0, return_counts=True)
        self.shapes.copy_(different.repeat_interleave(counts, dim=0))
        self.biases.copy_(2 * torch.rand(kernels) - 1)
        self.weights.zero_()
        for weights, length in zip(self.weights, self.shapes[:, 0].tolist(), strict=True):
            chosen = random_channels(channels, length)
            drawn = torch.randn(len(chosen), length)
            weights[chosen, :length] = (drawn - drawn.mean(1, keepdim=True)).to(weights)
        self.group()
        super().calibrate(windows)

    def group(self) -> None:
        """Note which kernels have one shape, and are convolved together.

        Raises:
            ValueError: if the kernels do not fit a window.
        """
        lengths, dilations, padded = self.shapes.unbind(1)
        known = torch.isin(lengths, torch.tensor(_LENGTHS, device=lengths.device)) & (padded.clamp(0, 1) == padded)
        if not (known & (dilations > 0) & ((lengths - 1) * dilations < self.shortest_window)).all():
            raise ValueError(f"Kernels of Rocket do not fit windows of {self.shortest_window} samples. Train it again.")
        different, counts = self.shapes.unique_consecutive(dim=0, return_counts=True)
        self.groups = [(*shape, count) for shape, count in zip(different.tolist(), counts.tolist(), strict=True)]

    def compute(self, windows: Tensor) -> Tensor:
        """Return all shares, then all maxima (batch, features), of ``windows`` (batch, time, channels)."""
        signals = windows.transpose(1, 2)
        most = max(1, _AT_ONCE // self.shortest_window)
        shares, maxima, first = [], [], 0
        for length, dilation, padded, count in self.groups:
            padding = padded * dilation * (length // 2)
            parts = zip(
                self.weights[first : first + count, :, :length].split(most),
                self.biases[first : first + count].split(most),
                strict=True,
            )
            for weights, biases in parts:
                convolved = functional.conv1d(signals, weights, biases, padding=padding, dilation=dilation)
                shares.append((convolved > 0).float().mean(2))
                maxima.append(convolved.amax(2))
            first += count
        return torch.cat([*shares, *maxima], dim=1)


def _group_loaded(rocket: Rocket, _: object) -> None:
    rocket.group()
