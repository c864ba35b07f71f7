"""Normalisation of channels; the statistics come from pre-training windows only and are stored with the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

NormalisedBy = Literal["channel", "sensor"]
"""Whether each channel has its own statistics, or the axes of a sensor have theirs in common."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, float32 (channels,), in the unit of the channel."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, signals: NDArray[np.float32]) -> Normalisation:
        """Return the statistics of windows (windows, time, channels); a constant channel has a deviation of one."""
        mean = signals.mean(axis=(0, 1), dtype=np.float64)
        deviation = signals.std(axis=(0, 1), dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(deviation > 0, deviation, 1.0).astype(np.float32))

    @classmethod
    def by(cls, how: NormalisedBy, signals: NDArray[np.float32], sensors: Iterable[Sequence[int]]) -> Normalisation:
        """Return the statistics of windows (windows, time, channels), given the channel indices of each sensor."""
        return cls.by_sensor(signals, sensors) if how == "sensor" else cls.of(signals)

    @classmethod
    def by_sensor(cls, signals: NDArray[np.float32], sensors: Iterable[Sequence[int]]) -> Normalisation:
        """Return statistics of windows (windows, time, channels) that preserve the geometry of each sensor.

        The axes of a sensor have no offset and one deviation in common, so that rotations stay rotations; channels
        without a sensor are z-scored.

        Args:
            signals: Windows.
            sensors: Channel indices of each sensor.
        """
        statistics = cls.of(signals)
        for sensor in sensors:
            axes = list(sensor)
            variance = float(signals[..., axes].var(axis=(0, 1), dtype=np.float64).mean())
            statistics.mean[axes] = 0.0
            statistics.deviation[axes] = variance**0.5 if variance > 0 else 1.0
        return statistics

    def __call__(self, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return z-scored windows (windows, time, channels)."""
        return (signals - self.mean) / self.deviation
