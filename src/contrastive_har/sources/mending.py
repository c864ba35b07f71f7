"""Known defects of public files, mended by rule: rows that repeat, times that jump, samples that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.recordings import LONGEST_STEP, Recording

_Number = TypeVar("_Number", np.float32, np.float64)

LONGEST_GAP = 1.0
"""Longest time in seconds between two samples that is interpolated; a longer one stays a gap."""

_LONGEST_JUMP = 24 * 3600.0  # seconds of a gap, which wrong times can make longer
_RATE_TOLERANCE = 0.05  # share by which the usual step between the times may differ from the declared one


def repeated(*columns: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which rows repeat an earlier one in all columns, of which the first is (rows,), others (rows, any)."""
    again = pd.Series(columns[0]).duplicated(keep=False).to_numpy()
    found = np.zeros(len(again), bool)
    found[again] = pd.DataFrame(np.column_stack([column[again] for column in columns])).duplicated().to_numpy()
    return found


def odd(seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which times (time,) are a gap away from both neighbours, which are not from each other."""
    far = np.abs(np.diff(seconds)) > LONGEST_GAP
    found = np.zeros(len(seconds), bool)
    found[1:-1] = far[:-1] & far[1:] & (np.abs(seconds[2:] - seconds[:-2]) <= LONGEST_GAP)
    return found


def spread(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Repeat each index as often as its count says; return the indices and, for each, the number of its repetition."""
    indices = np.repeat(np.arange(len(counts)), counts)
    return indices, np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)


def apart(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread times (time,) that equal the one before evenly up to the next time, but not further than is usual."""
    first = np.flatnonzero(np.diff(seconds, prepend=np.nan) != 0)
    counts = np.diff(first, append=len(seconds))
    steps = np.diff(seconds[first]) / counts[:-1]
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    steps = np.append(np.where(steps > 0, np.minimum(steps, usual), usual), usual)
    row, number = spread(counts)
    return np.asarray(seconds[first][row] + number * steps[row])


def mend(recording: Recording, seconds: NDArray[np.float64], rate: float) -> Recording:
    """Put the rows of a file, some of which may repeat or lack samples, on a clock, and count what that took.

    The rows are the clock; their times only say where some are missing:

    * Rows without a time or with an odd one, and rows that repeat an earlier one, are left out. Others of one time are
      spread evenly.
    * A step that is longer than usual is a gap; a step back begins anew after a gap.
    * What is missing is interpolated linearly between the samples around it if these are at most :data:`LONGEST_GAP`
      apart. Other rows that lack a sample are left out.

    Args:
        recording: All rows of the file; ``sample`` is not used, and samples that are not finite are missing.
        seconds: Time of each row (time,).
        rate: Declared samples per second.
    """
    timed, again = np.isfinite(seconds), repeated(seconds, recording.samples)
    rows = np.flatnonzero(timed & ~again)
    is_odd = odd(seconds[rows])
    rows = rows[~is_odd]
    times, longest = apart(seconds[rows]), round(LONGEST_GAP * rate)
    jumps, is_declared = _jumps(times, rate)
    # Short gaps get rows, which lack all samples and are then filled like all others.
    row, added = spread(np.append(np.where(jumps <= longest, jumps, 1), 1)[: len(times)])
    clock = np.append(0, np.cumsum(jumps))[row] + added
    samples = recording.samples[rows][row]
    samples[added > 0] = np.nan
    lacks = ~np.isfinite(samples).all(axis=1)
    samples = fill(clock, samples, longest)
    whole = np.isfinite(samples).all(axis=1)
    mended = {
        "rows without a time": (~timed).sum(),
        "rows that repeat another": (timed & again).sum(),
        "rows of odd times": is_odd.sum(),
        "rows of equal times": (times != seconds[rows]).sum(),
        "times that go back": (np.diff(times) < 0).sum(),
        "samples with times of another rate": 0 if is_declared else len(times),
        "samples interpolated": (lacks & whole).sum(),
        "samples left out": (~whole & (added == 0)).sum(),
    }
    return replace(
        recording,
        sample=clock[whole],
        activity=recording.activity[rows][row][whole],
        samples=samples[whole],
        mended={what: int(count) for what, count in mended.items() if count},
    )


def _jumps(times: NDArray[np.float64], rate: float) -> tuple[NDArray[np.int64], bool]:
    """Return the steps between times in sampling intervals, and whether the usual one is that of the declared rate."""
    steps = np.diff(times)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1 / rate
    is_declared = abs(usual * rate - 1) <= _RATE_TOLERANCE
    step = 1 / rate if is_declared else usual
    jumps = np.where(steps > LONGEST_STEP * step, np.rint(np.minimum(steps, _LONGEST_JUMP) / step), 1).astype(np.int64)
    jumps[steps < 0] = round(LONGEST_GAP * rate) + 1
    return jumps, is_declared


def fill(
    clock: NDArray[np.integer[Any] | np.floating[Any]], samples: NDArray[_Number], longest: float
) -> NDArray[_Number]:
    """Interpolate missing samples, each channel by itself.

    Args:
        clock: Ascending times of the samples (time,), in sampling intervals or seconds.
        samples: Measurements (time, channels); values that are not finite are missing.
        longest: How far the samples around may be apart, in the unit of the times; others stay missing.

    Returns:
        Measurements (time, channels).
    """
    filled = samples.copy()
    for channel in filled.T:
        known = np.isfinite(channel)
        times, missing = clock[known], np.flatnonzero(~known)
        later = np.searchsorted(times, clock[missing])
        between = (later > 0) & (later < len(times))
        missing, later = missing[between], later[between]
        if not len(missing):
            continue
        near = missing[times[later] - times[later - 1] <= longest]
        channel[near] = np.interp(clock[near], times, channel[known])
    return filled
