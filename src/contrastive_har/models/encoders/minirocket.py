"""MiniRocket: fixed random convolutions and how often each exceeds a bias (Dempster et al. 2021, arXiv 2012.08791)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.encoders.base import Sensors
from contrastive_har.models.encoders.computed import ComputedFeatures, ComputedFeaturesSettings, random_channels

_TAPS = 9
_KERNELS = tuple(combinations(range(_TAPS), 3))  # the three taps with weight 2; the others have -1
_WEIGHTS = torch.tensor([[2.0 if tap in taps else -1.0 for tap in range(_TAPS)] for taps in _KERNELS])
_MOST_DILATIONS = 32
_GOLDEN_RATIO = (math.sqrt(5) + 1) / 2


class MiniRocketSettings(ComputedFeaturesSettings):
    """MiniRocket's 84 kernels of nine taps, at several dilations.

    Attributes:
        size: Number of features, rounded down to a multiple of 84; the published one is 9,996.
    """

    name: Literal["minirocket"] = "minirocket"
    size: int = Field(default=2520, ge=len(_KERNELS))

    @property
    def shortest_window(self) -> int:
        """Samples that a kernel spans."""
        return _TAPS

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> MiniRocket:
        """Return the features of windows (batch, ``length``, ``sensor_channels``); not calibrated."""
        return MiniRocket(sensor_channels, length, self)


class MiniRocket(ComputedFeatures):
    """Convolutions with weights -1 and 2, and the share of time at which each exceeds its biases.

    Each combination of kernel and dilation adds up a random subset of the channels. Its biases are quantiles of the
    convolution of a random window. Every other combination is padded with zeros.

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Number of features.
    """

    subsets: Tensor
    biases: Tensor

    def __init__(self, sensor_channels: int, length: int, settings: MiniRocketSettings) -> None:
        per_kernel = settings.size // len(_KERNELS)
        self.dilations, self.counts = dilations_of(length, per_kernel)
        super().__init__(len(_KERNELS) * per_kernel, 1 + (_TAPS - 1) * self.dilations[-1])
        self.register_buffer("subsets", torch.ones(len(self.dilations), len(_KERNELS), sensor_channels))
        self.register_buffer("biases", torch.zeros(len(_KERNELS), per_kernel))

    def calibrate(self, windows: Tensor) -> None:
        """Draw the subsets of channels, and the biases from random ``windows`` (windows, time, channels); z-score."""
        channels = windows.shape[2]
        self.subsets.zero_()
        for subset in self.subsets.flatten(0, 1):
            subset[random_channels(channels, _TAPS)] = 1.0
        ranks = (torch.arange(1, self.features + 1, dtype=torch.float64) * _GOLDEN_RATIO % 1).to(self.biases)
        columns = ranks.view_as(self.biases).split(self.counts, dim=1)
        for index, (wanted, biases) in enumerate(zip(columns, self.biases.split(self.counts, dim=1), strict=True)):
            chosen = windows[torch.randint(len(windows), (len(_KERNELS),))]
            for kernels, convolved in self._convolve(chosen, index):
                for kernel, values in zip(range(len(_KERNELS))[kernels], convolved.transpose(0, 1), strict=True):
                    biases[kernel] = torch.quantile(values[kernel], wanted[kernel])
        super().calibrate(windows)

    def compute(self, windows: Tensor) -> Tensor:
        """Return the shares of time (batch, features) of ``windows`` (batch, time, channels)."""
        shares = [
            _share_above(convolved, bias[kernels, None])
            for index, biases in enumerate(self.biases.split(self.counts, dim=1))
            for kernels, convolved in self._convolve(windows, index)
            for bias in biases.unbind(1)
        ]
        return torch.cat(shares, dim=1)

    def _convolve(self, windows: Tensor, index: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield every other kernel and its convolutions (batch, kernels, time) with padding, then the rest without."""
        dilation = self.dilations[index]
        for kernels, padding in (
            (slice(index % 2, None, 2), dilation * (_TAPS // 2)),
            (slice(1 - index % 2, None, 2), 0),
        ):
            weights = self.subsets[index, kernels, :, None] * _WEIGHTS[kernels, None].to(windows)
            yield kernels, functional.conv1d(windows.transpose(1, 2), weights, padding=padding, dilation=dilation)


def _share_above(values: Tensor, bias: Tensor) -> Tensor:
    """Return the share of time (batch, kernels) at which ``values`` (batch, kernels, time) exceed ``bias``."""
    if torch.compiler.is_exporting():
        return (values > bias).float().mean(2)
    return torch.gt(values, bias, out=torch.empty_like(values)).mean(2)  # ten times as fast, without booleans


def dilations_of(length: int, per_kernel: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the dilations for windows of ``length`` samples, and the number of features of a kernel with each.

    Their exponents are spread evenly up to the dilation at which a kernel spans the window (section 3.2).
    """
    most = min(per_kernel, _MOST_DILATIONS)
    largest = math.log2((length - 1) / (_TAPS - 1))
    exponents = np.linspace(0, largest, most)
    dilations, multiples = np.unique((2**exponents).astype(int), return_counts=True)
    counts = multiples * per_kernel // most
    counts[: per_kernel - int(counts.sum())] += 1
    return tuple(dilations.tolist()), tuple(counts.tolist())
