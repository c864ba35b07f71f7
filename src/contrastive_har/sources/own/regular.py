"""Rows of one or several sensors on one regular clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.arrays import edges
from contrastive_har.signals.recordings import LONGEST_STEP
from contrastive_har.sources.clocks import resample
from contrastive_har.sources.own.cleaning import Rows

_EXACT = 0.01  # share of the interval by which times may differ from the regular clock to count as it


@dataclass(frozen=True)
class Regular:
    """Samples on a regular clock.

    Attributes:
        clock: Position of each sample in sampling intervals, int64 (time,); a jump is a gap.
        seconds: Time of each sample (time,).
        samples: Measurements (time, channels), those of the sensors side by side.
    """

    clock: NDArray[np.int64]
    seconds: NDArray[np.float64]
    samples: NDArray[np.float64]


def measured_rate(seconds: NDArray[np.float64]) -> float | None:
    """Return the samples per second of times (time,), gaps and steps back left out; None for a single time."""
    steps = np.diff(seconds)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    usual = steps[steps <= LONGEST_STEP * np.median(steps)]
    return float(1 / usual.mean())


def put_on_clock(sensors: Sequence[Rows], rate: float, longest_gap: float) -> Regular:
    """Interpolate samples at the times of a regular clock, after a low-pass filter where the rate falls.

    The clock begins with the first sample that all sensors have, and begins anew after each gap of any of them. Times
    that are regular already keep their samples as they are.

    Args:
        sensors: Rows of each sensor.
        rate: Samples per second of the clock.
        longest_gap: Seconds without samples that are interpolated.
    """
    rates = [measured_rate(rows.seconds) or rate for rows in sensors]
    stretches = [
        _stretches(rows.seconds, max(longest_gap, LONGEST_STEP / hz)) for rows, hz in zip(sensors, rates, strict=True)
    ]
    times: list[NDArray[np.float64]] = []
    parts: list[NDArray[np.float64]] = []
    clock: list[NDArray[np.int64]] = []
    origin, following = 0.0, 0
    for indices in _common(sensors, stretches):
        pieces = [
            (rows.seconds[slice(*stretch)], rows.samples[slice(*stretch)])
            for rows, stretch in zip(sensors, indices, strict=True)
        ]
        begin, end = max(seconds[0] for seconds, _ in pieces), min(seconds[-1] for seconds, _ in pieces)
        wanted = begin + np.arange(int(np.floor((end - begin) * rate + 1e-6)) + 1) / rate
        if not times:
            origin = begin
        # A gap is a jump of at least one position more than a step.
        first = max(round((begin - origin) * rate), following + 1) if times else 0
        following = first + len(wanted)
        times.append(wanted)
        clock.append(np.arange(first, following))
        parts.append(np.column_stack([_at(wanted, *piece, hz, rate) for piece, hz in zip(pieces, rates, strict=True)]))
    width = sum(rows.samples.shape[1] for rows in sensors)
    if not times:
        return Regular(np.empty(0, np.int64), np.empty(0), np.empty((0, width)))
    return Regular(np.concatenate(clock), np.concatenate(times), np.concatenate(parts))


def _at(
    wanted: NDArray[np.float64], seconds: NDArray[np.float64], samples: NDArray[np.float64], hz: float, rate: float
) -> NDArray[np.float64]:
    same = len(wanted) == len(seconds) and bool((np.abs(wanted - seconds) <= _EXACT / rate).all())
    return samples if same else resample(wanted, seconds, samples, hz, rate)


def _stretches(seconds: NDArray[np.float64], longest: float) -> list[tuple[int, int]]:
    """Return the first index and the one after the last of each stretch without a longer gap."""
    breaks = np.diff(seconds) > longest + 1e-9
    return [(begin, end) for begin, end in pairwise(edges(breaks, len(seconds))) if end > begin]


def _common(sensors: Sequence[Rows], stretches: Sequence[list[tuple[int, int]]]) -> list[tuple[tuple[int, int], ...]]:
    """Return the stretches of all sensors that overlap, in the order of time."""
    found: list[tuple[tuple[int, int], ...]] = []
    position = [0] * len(sensors)
    while all(index < len(of) for index, of in zip(position, stretches, strict=True)):
        current = tuple(of[index] for index, of in zip(position, stretches, strict=True))
        begin = max(rows.seconds[first] for rows, (first, _) in zip(sensors, current, strict=True))
        ends = [rows.seconds[last - 1] for rows, (_, last) in zip(sensors, current, strict=True)]
        if begin <= min(ends):
            found.append(current)
        position[int(np.argmin(ends))] += 1
    return found
