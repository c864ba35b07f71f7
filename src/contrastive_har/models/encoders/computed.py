"""Base class of encoders that compute features instead of learning them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder

_SMALLEST = 1e-6  # deviation below which a feature counts as constant
_AT_ONCE = 1024  # windows


class ComputedFeaturesSettings(BaseEncoderSettings):
    """Settings of an encoder that has no stage."""

    @property
    def depth(self) -> int:
        """Number of stages: nothing is trained."""
        return 0


class ComputedFeatures(Encoder):
    """Features without a trained stage, z-scored by their statistics over unlabelled windows.

    Args:
        features: Number of features.
        shortest_window: Samples a window needs.
    """

    calibrates: ClassVar[bool] = True

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, shortest_window: int) -> None:
        super().__init__()
        self.features = features
        self.shortest_window = shortest_window
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    @abstractmethod
    def compute(self, windows: Tensor) -> Tensor:
        """Return the features (batch, features) of ``windows`` (batch, time, channels), float32."""

    @property
    def stages(self) -> Sequence[nn.Module]:
        """None: nothing is trained."""
        return []

    def calibrate(self, windows: Tensor) -> None:
        """Measure the features' mean and deviation over ``windows`` (windows, time, channels)."""
        count = 0
        mean, squares = torch.zeros(2, self.features, dtype=torch.float64, device=self.mean.device)
        for part in windows.split(_AT_ONCE):  # the features of all windows need much memory
            features = self.compute(part.float()).double()
            own = features.mean(0)
            before, count = count, count + len(part)
            squares += len(part) * (features.var(0, correction=0) + (own - mean).square() * before / count)
            mean += (own - mean) * len(part) / count
        deviation = (squares / count).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > _SMALLEST, deviation, torch.ones_like(deviation)))

    def enter(self, windows: Tensor) -> Tensor:
        """Return the z-scored features (batch, features) of ``windows`` (batch, time, channels)."""
        with torch.autocast(windows.device.type, enabled=False):
            return (self.compute(windows.float()) - self.mean) / self.deviation

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Return ``activations`` as they are: there is no stage."""
        return activations


def random_channels(channels: int, most: int) -> Tensor:
    """Return a random subset of ``channels``, at most ``most``; the logarithm of one more than its size is uniform."""
    limit = math.log2(min(channels, most) + 1)
    return torch.randperm(channels)[: int(2 ** (limit * float(torch.rand(()))))]
