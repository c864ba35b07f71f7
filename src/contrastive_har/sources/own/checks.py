"""What samples say about their units and their sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.signals.sensors import Channel, indices_by_sensor
from contrastive_har.signals.units import factor, find_unit
from contrastive_har.sources.own.settings import DESCRIPTION_FILE

IMPOSSIBLE = 0.1
"""Share of impossible samples of a channel, above which its unit is wrong."""

_FAR = 1000.0
"""Times the distance from the median that most samples keep, beyond which a sample of an unknown unit is impossible."""

_MOST = 0.9  # share of samples that keep it; of channels that hardly ever change, of all but single ones

_STILL = 10.0  # per cent of seconds in which a sensor moves least
_NEAR = 1.3  # factor by which the length of gravity may differ: sensors are biased, and people seldom rest
FASTEST_TURN = 40.0
"""More than common gyroscopes measure, in rad/s (2,000 deg/s are 35)."""

_SATURATED = 5  # samples at the greatest or least value in a row, at least
_FEW = 20  # different values of a channel, among so many samples:
_LOOKED_AT = 2000


def limits_of(
    channels: Sequence[Channel], declared: Mapping[str, tuple[float, float]], samples: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the least and the greatest possible sample of each channel, (channels, 2).

    They are the declared ones, by channel or sensor; else those of the unit; else, if there are samples, a thousand
    times the distance from the median that most of them keep.

    Args:
        channels: The channels.
        declared: Limits by channel or sensor.
        samples: Measurements (time, channels) in the units of the channels, or others that are like them.
    """
    limits = np.empty((len(channels), 2))
    largest = float(np.finfo(np.float32).max)  # of stored samples
    for index, channel in enumerate(channels):
        given = declared.get(channel.name, declared.get(channel.sensor or ""))
        unit = find_unit(channel.unit)
        if given is not None:
            limits[index] = given
        elif unit is not None:
            limits[index] = -unit.limit, unit.limit
        else:
            limits[index] = _robust(samples[:, index]) if samples is not None else (-largest, largest)
    return np.asarray(limits.clip(-largest, largest))


def are_impossible(samples: NDArray[np.floating], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which samples (..., channels) are beyond the limits of their channels; those that are NaN are not."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = (samples < limits[:, 0]) | (samples > limits[:, 1])
    return found


def _robust(values: NDArray[np.float64]) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if len(values) < _FEW:
        return -np.inf, np.inf
    middle = float(np.median(values))
    # Of few samples, all but two: one impossible one has no say.
    share = [min(_MOST, 1 - 2 / len(values)), min(0.99, 1 - 2 / len(values))]
    reach = next(filter(None, np.quantile(np.abs(values - middle), share)), max(abs(middle), 1.0))
    return middle - _FAR * reach, middle + _FAR * reach


def length_at_rest(samples: NDArray[np.float64], rate: float) -> float:
    """Return the median length of three axes (time, 3) in the seconds in which they move least."""
    length = np.linalg.norm(samples, axis=1)
    size = max(round(rate), 2)
    count = len(length) // size
    if count == 0:
        return float(np.median(length))
    seconds = length[: count * size].reshape(count, size)
    moves = seconds.std(axis=1)
    return float(np.median(seconds[moves <= np.percentile(moves, _STILL)]))


def refuse_wrong_units(samples: NDArray[np.float64], channels: Sequence[Channel], rate: float, where: str) -> None:
    """Refuse samples that are in another unit than declared.

    The length of total acceleration at rest is about 1 g; an acceleration without gravity is about 0 then. A gyroscope
    in rad/s does not exceed 40.

    Args:
        samples: Measurements (time, channels) in the declared units.
        channels: The channels.
        rate: Samples per second.
        where: File for messages.

    Raises:
        BadRecordingError: if a sensor suggests another unit; names the sensor, the unit and the cure.
    """
    for sensor, indices in indices_by_sensor(channels).items():
        unit = find_unit(channels[indices[0]].unit)
        if unit is None or not len(samples):
            continue
        part = samples[:, list(indices)]
        other = None
        if unit.quantity == "acceleration" and len(indices) == 3:
            length = length_at_rest(part, rate)
            suggested = unit_of_gravity(length)
            other = suggested if suggested != unit.name else None
            found = f"at rest its length is {length:.3g}, which is 1 g in {other}"
        elif unit.name == "rad/s":
            fastest = float(np.quantile(np.abs(part), 0.999))
            other = "deg/s" if fastest > FASTEST_TURN else None
            found = f"it reaches {fastest:.3g}, more than gyroscopes measure in rad/s, but not in {other}"
        if other:
            raise BadRecordingError(
                f"{where}: sensor '{sensor}' is declared in {channels[indices[0]].unit}, but {found}. Write 'units: "
                f"{{{sensor}: {other}}}' in {DESCRIPTION_FILE} for this file to convert it (under 'files', if others "
                "differ), or correct the channels' unit; 'check_units: false' leaves out this check."
            )


def unit_of_gravity(length: float) -> str | None:
    """Return the unit in which a length at rest is about that of gravity; None if it is so in none."""
    return next((unit for unit in ("g", "m/s²", "mg") if 1 / _NEAR <= length * factor(unit, "g") <= _NEAR), None)


def count_saturated(samples: NDArray[np.float64]) -> int:
    """Count samples (time, channels) in runs of five or more at a channel's greatest or least value.

    Channels with few different values, such as those of a coarse sensor at rest, are not counted.
    """
    count = 0
    for values in samples.T:
        if len(np.unique(values[:: max(1, len(values) // _LOOKED_AT)])) < _FEW:
            continue
        for extreme in (values.max(), values.min()):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], values == extreme, [False]]).astype(np.int8)))
            lengths = edges[1::2] - edges[::2]
            count += int(lengths[lengths >= _SATURATED].sum())
    return count
