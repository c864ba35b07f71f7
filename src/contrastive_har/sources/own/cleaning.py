"""Samples of a file in the order of time, without what cannot be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.recordings import LONGEST_STEP
from contrastive_har.sources.mending import fill
from contrastive_har.sources.own.checks import are_impossible

HOUR = 3600.0
"""Seconds by which clocks change with daylight saving."""

_DAY = 24 * HOUR

LATEST = 1e11
"""Seconds: the year 5138; what is later is no time."""

_ROUNDING = 1e-9  # seconds
_FAST = 0.25  # share of the usual step, below which rows are a batch


@dataclass(frozen=True)
class Rows:
    """Rows of a table that can be used.

    Attributes:
        seconds: Strictly ascending times (time,). Where the stamps go back, the clock goes on after a gap.
        samples: Finite measurements (time, channels).
        source: Index of the row of the table that each comes from, int64 (time,).
    """

    seconds: NDArray[np.float64]
    samples: NDArray[np.float64]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.seconds)


class Cleaning:
    """Cleans the rows of one recording in pieces; the result does not depend on the pieces.

    * Samples that are not finite or beyond the limits are missing.
    * Rows without a time are left out. Rows whose time is up to ``longest_gap`` earlier than that of a row before are
      put in order. Where stamps go back further, the clock began anew: what follows comes after a gap, and is never
      sorted among what was before. Where local times go an hour back or forward, more or less one sample, clocks
      change to or from daylight saving, which is no step at all; nor is a day back, at midnight.
    * Rows of one time are averaged.
    * What is missing is interpolated linearly between the samples around it if these are at most ``longest_gap`` apart;
      other rows that lack a sample are left out.

    Args:
        limits: Least and greatest possible sample of each channel, (channels, 2).
        longest_gap: Seconds.
        interval: Usual seconds from one sample to the next, if they are known.
        are_local: Whether times are local, so that clocks change by an hour.

    Attributes:
        counts: How many rows or samples were mended, by what was done.
        first_impossible: Row and channel of the first sample beyond the limits; None if there is none.
    """

    def __init__(
        self, limits: NDArray[np.float64], longest_gap: float, interval: float | None = None, are_local: bool = False
    ) -> None:
        self._limits, self._gap = limits, max(longest_gap, LONGEST_STEP * (interval or 0.0))
        self._are_local = are_local
        self._shift = 0.0  # seconds added to the stamps
        self._latest = -np.inf  # greatest time so far, with the shift
        self._emitted = -np.inf  # time up to which rows were returned
        self._waiting = Rows(np.empty(0), np.empty((0, len(limits))), np.empty(0, np.int64))
        self._interval = interval
        self.counts: Counter[str] = Counter()
        self.first_impossible: tuple[int, int, float] | None = None

    def push(self, seconds: NDArray[np.float64], samples: NDArray[np.float64], source: NDArray[np.int64]) -> Rows:
        """Add rows as they come in the table; return those that are complete."""
        samples = self._without_impossible(samples, source)
        timed = np.abs(seconds) < LATEST  # not NaN either
        if not timed.all():
            self.counts["rows without a time"] += int((~timed).sum())
            seconds, samples, source = seconds[timed], samples[timed], source[timed]
        if not len(seconds):
            return self._take(-np.inf)
        if self._interval is None:
            steps = np.diff(seconds)
            steps = steps[steps > 0]
            self._interval = float(np.median(steps)) if len(steps) else None
            self._gap = max(self._gap, LONGEST_STEP * (self._interval or 0.0))
        done = []
        begin = 0
        stamps, seconds = seconds, seconds + self._shift
        while begin < len(seconds):
            # The first row that is further back than rows are put in order, or an hour from the one before.
            before = np.append(self._latest, np.maximum.accumulate(np.append(self._latest, seconds[begin:-1]))[1:])
            previous = np.append(self._latest, seconds[begin:-1])
            steps = seconds[begin:] - previous
            changes = self._is_change_of_clocks(steps)
            breaks = np.flatnonzero((before - seconds[begin:] > self._gap) | changes)
            end = begin + int(breaks[0]) if len(breaks) else len(seconds)
            if end > begin:
                self._add(seconds[begin:end], samples[begin:end], source[begin:end])
            if end < len(seconds):
                if changes[end - begin]:
                    step = float(steps[end - begin])
                    shift = _DAY if step < -2 * HOUR else -np.sign(step) * HOUR
                    self.counts["midnights" if shift == _DAY else "changes of the clock by an hour"] += 1
                else:
                    done.append(self._take(np.inf))
                    shift = self._latest + 2 * self._gap + 2 * (self._interval or 0.0) - seconds[end]
                    self.counts["times that go back"] += 1
                self._shift += shift
                seconds = stamps + self._shift
                self._add(seconds[end : end + 1], samples[end : end + 1], source[end : end + 1])
                end += 1
            begin = end
        done.append(self._take(self._latest - 2 * self._gap))
        return _joined(done)

    def finish(self) -> Rows:
        """Return the remaining rows."""
        return self._take(np.inf)

    def _is_change_of_clocks(self, steps: NDArray[np.float64]) -> NDArray[np.bool_]:
        if not self._are_local or not self._interval or self._interval > HOUR / 100:
            return np.zeros(len(steps), bool)
        further = steps - self._interval
        return np.asarray(np.abs(further[:, None] - (HOUR, -HOUR, -_DAY)).min(axis=1, initial=np.inf) <= self._interval)

    def _without_impossible(self, samples: NDArray[np.float64], source: NDArray[np.int64]) -> NDArray[np.float64]:
        impossible = are_impossible(samples, self._limits)
        if not impossible.any():
            return samples
        self.counts["impossible samples"] += int(impossible.sum())
        if self.first_impossible is None:
            row, channel = np.argwhere(impossible)[0]
            self.first_impossible = int(source[row]), int(channel), float(samples[row, channel])
        return np.where(impossible, np.nan, samples)

    def _add(self, seconds: NDArray[np.float64], samples: NDArray[np.float64], source: NDArray[np.int64]) -> None:
        waiting = self._waiting
        joined = np.concatenate([waiting.seconds, seconds])
        values, rows = np.concatenate([waiting.samples, samples]), np.concatenate([waiting.source, source])
        self._latest = max(self._latest, float(seconds.max()))
        steps = np.diff(joined[max(len(waiting) - 1, 0) :])
        if (steps < 0).any():
            self.counts["rows out of order"] += int((steps < 0).sum())
            order = np.argsort(joined, kind="stable")
            joined, values, rows = joined[order], values[order], rows[order]
        self._waiting = Rows(joined, values, rows)

    def _take(self, limit: float) -> Rows:
        """Return waiting rows up to a time; what comes before it can no longer change."""
        waiting = self._waiting
        if not len(waiting) or waiting.seconds[0] > limit:
            return Rows(np.empty(0), np.empty((0, len(self._limits))), np.empty(0, np.int64))
        waiting = self._averaged(waiting, limit)
        lacks = ~np.isfinite(waiting.samples).all(axis=1)
        filled = fill(waiting.seconds, waiting.samples, self._gap + _ROUNDING) if lacks.any() else waiting.samples
        ready = (waiting.seconds > self._emitted) & (waiting.seconds <= limit)
        whole = ready & np.isfinite(filled).all(axis=1) if lacks.any() else ready
        self.counts["samples interpolated"] += int((whole & lacks).sum())
        self.counts["samples left out"] += int((ready & ~whole).sum())
        if ready.any():
            self._emitted = float(waiting.seconds[ready][-1])
        kept = waiting.seconds > (limit - self._gap if np.isfinite(limit) else np.inf)
        self._waiting = Rows(waiting.seconds[kept], waiting.samples[kept], waiting.source[kept])
        return Rows(waiting.seconds[whole], filled[whole], waiting.source[whole])

    def _averaged(self, rows: Rows, limit: float) -> Rows:
        """Average rows of one time up to ``limit``; later ones may still be repeated by others."""
        repeats = np.append(False, (np.diff(rows.seconds) == 0) & (rows.seconds[1:] <= limit))
        if not repeats.any():
            return rows
        self.counts["rows of equal times"] += int(repeats.sum())
        group = np.cumsum(~repeats) - 1
        first = np.flatnonzero(~repeats)
        finite = np.isfinite(rows.samples)
        totals, known = np.zeros((len(first), rows.samples.shape[1])), np.zeros((len(first), rows.samples.shape[1]))
        np.add.at(totals, group, np.where(finite, rows.samples, 0.0))
        np.add.at(known, group, finite)
        with np.errstate(invalid="ignore"):
            return Rows(rows.seconds[first], totals / known, rows.source[first])


def spread_batches(seconds: NDArray[np.float64], interval: float) -> tuple[NDArray[np.float64], int]:
    """Spread the rows of each batch evenly from its first time until the next batch.

    Rows that follow one another in less than a quarter of the usual interval are a batch. Its rows are at most a
    quarter further apart than is usual: after the last one of a batch there may be a gap.

    Args:
        seconds: Times (time,).
        interval: Usual seconds from one sample to the next.

    Returns:
        The spread times, and the index of the first row of the last batch, whose times depend on what comes next.
    """
    first = batches_of(seconds, interval)
    if not len(first):
        return seconds, 0
    counts = np.diff(first, append=len(seconds))
    begins = seconds[first]
    steps = np.append(np.diff(begins) / counts[:-1], interval)
    steps = np.where(steps > 0, np.minimum(steps, 1.25 * interval), interval)
    batch = np.repeat(np.arange(len(first)), counts)
    number = np.arange(len(seconds)) - first[batch]
    return begins[batch] + number * steps[batch], int(first[-1])


def batches_of(seconds: NDArray[np.float64], interval: float) -> NDArray[np.int64]:
    """Return the index of the first row of each batch of :func:`spread_batches`."""
    return np.flatnonzero(~(np.abs(np.diff(seconds, prepend=np.nan)) < _FAST * interval))


def share_of_batches(seconds: NDArray[np.float64], interval: float) -> float:
    """Return which share of the steps between times (time,) is much shorter than usual."""
    steps = np.diff(seconds[np.isfinite(seconds)])
    return float((np.abs(steps) < _FAST * interval).mean()) if len(steps) else 0.0


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.samples for part in parts]),
        np.concatenate([part.source for part in parts]),
    )
