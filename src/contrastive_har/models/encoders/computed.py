"""Base class of encoders that compute features instead of learning them."""

from __future__ import annotations

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
        features = torch.cat([self.compute(part.float()) for part in windows.split(_AT_ONCE)]).double()
        deviation = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(torch.where(deviation > _SMALLEST, deviation, torch.ones_like(deviation)))

    def enter(self, windows: Tensor) -> Tensor:
        """Return the z-scored features (batch, features) of ``windows`` (batch, time, channels)."""
        with torch.autocast(windows.device.type, enabled=False):
            return (self.compute(windows.float()) - self.mean) / self.deviation

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Return ``activations`` as they are: there is no stage."""
        return activations
