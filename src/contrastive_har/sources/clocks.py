"""Streams of one clip that come in several files and whose clocks differ, at the times of one clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.rates import NEAR, Resampler


def are_storable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values are finite as the 32-bit numbers that recordings hold."""
    return np.asarray(np.abs(values) <= np.finfo(np.float32).max)


def interpolate(
    wanted: NDArray[np.float64], times: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate linearly.

    Args:
        wanted: Times of the result (wanted,).
        times: Ascending times of the values (time,). Before the first and after the last the value stays.
        values: Values (time, channels).

    Returns:
        Values (wanted, channels).
    """
    return np.column_stack([np.interp(wanted, times, column) for column in values.T])


def resample(
    wanted: NDArray[np.float64], times: NDArray[np.float64], values: NDArray[np.float64], from_hz: float, to_hz: float
) -> NDArray[np.float64]:
    """Interpolate linearly, after a low-pass filter if the rate falls by more than ``NEAR``.

    Args:
        wanted: Times of the result (wanted,), within those of the values.
        times: Ascending times of the values (time,).
        values: Values (time, channels).
        from_hz: Nominal rate of the values.
        to_hz: Rate of the result.

    Returns:
        Values (wanted, channels).
    """
    if from_hz <= to_hz * (1 + NEAR):
        return interpolate(wanted, times, values)
    resampler = Resampler(from_hz, to_hz)
    filtered = np.vstack([resampler.push(times, values), resampler.finish()]).astype(np.float64)
    return interpolate(wanted, times[0] + np.arange(len(filtered)) / to_hz, filtered)


def stretch(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Resample by linear interpolation, so that the first value stays the first and the last stays the last.

    Args:
        values: Values (time, channels).
        length: Length of the result.
    """
    return interpolate(np.linspace(0, 1, length), np.linspace(0, 1, len(values)), values)


def nearest(
    wanted: NDArray[np.float64], times: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take the value at the nearest time, which suits angles: between 359 and 1 degrees they do not pass 180.

    Args:
        wanted: Times of the result (wanted,).
        times: Ascending times of the values (time,), at least two.
        values: Values (time, channels).

    Returns:
        Values (wanted, channels).
    """
    later = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    is_earlier = wanted - times[later - 1] <= times[later] - wanted
    return np.asarray(values[np.where(is_earlier, later - 1, later)])
