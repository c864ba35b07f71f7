"""The sensors of a recording, each with rows and time stamps of its own, on one clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError
from contrastive_har.sources.own.cleaning import Rows
from contrastive_har.sources.own.parts import Part, clean
from contrastive_har.sources.own.regular import Regular, measured_rate, put_on_clock
from contrastive_har.sources.own.settings import Reading

_RATE_TOLERANCE = 0.02  # share by which the measured rate may differ from the declared one without being mentioned


@dataclass(frozen=True)
class Joined:
    """Samples of all sensors of a recording on one clock.

    Attributes:
        regular: The samples; channels are those of the sensors side by side.
        codes: Activity of each sample, int16 (time,).
        gaps: Of each gap the row after it in the first sensor's table, and its length in seconds.
    """

    regular: Regular
    codes: NDArray[np.int16]
    gaps: list[tuple[int, float]]


def join(parts: Sequence[Part], rate: float, reading: Reading, counts: Counter[str]) -> Joined:
    """Clean the rows of each sensor and put them on one clock.

    Args:
        parts: Rows of each sensor.
        rate: Samples per second of the clock.
        reading: How the files are read.
        counts: What was mended; added to.

    Raises:
        BadRecordingError: if the sensors have no time in common, or their clocks go back at different places.
    """
    stretches = _stretches(parts, reading.longest_gap, counts)
    found = [_join(stretch, rate, reading, counts) for stretch in stretches]
    if not any(len(one.codes) for one in found):
        raise BadRecordingError(
            f"{parts[0].table.place.where}: there is no time in which all sensors have samples. Compare the time "
            "stamps of the files."
        )
    clocks: list[NDArray[np.int64]] = []
    gaps: list[tuple[int, float]] = []
    begin, pause = 0, round(reading.longest_gap * rate) + 2  # no sample is interpolated across it
    for stretch, one in zip(stretches, found, strict=True):
        if begin and len(one.codes):
            gaps.append((int(stretch[0].rows[0]), pause / rate))
        gaps += one.gaps
        clocks.append(one.regular.clock + begin)
        begin = int(clocks[-1][-1]) + pause if len(one.codes) else begin
    regular = Regular(
        np.concatenate(clocks),
        np.concatenate([one.regular.seconds for one in found]),
        np.concatenate([one.regular.samples for one in found]),
    )
    return Joined(regular, np.concatenate([one.codes for one in found]), gaps)


def _join(parts: Sequence[Part], rate: float, reading: Reading, counts: Counter[str]) -> Joined:
    """Join sensors whose clocks begin anew nowhere, or a single one."""
    cleaned = [clean(part, rate, reading, counts) for part in parts]
    regular = put_on_clock(cleaned, rate, reading.longest_gap)
    for part, rows in zip(parts, cleaned, strict=True):
        counts.update(_resampled(rows, rate, reading.longest_gap, part.channels[0].name if len(parts) > 1 else ""))
    jumps = np.flatnonzero(np.diff(regular.clock) > 1)
    first = np.searchsorted(cleaned[0].seconds, regular.seconds[jumps + 1]).clip(0, max(len(cleaned[0]) - 1, 0))
    lengths = (regular.clock[jumps + 1] - regular.clock[jumps]) / rate
    rows_after = parts[0].rows[cleaned[0].source[first]] if len(jumps) else []
    gaps = [(int(row), float(length)) for row, length in zip(rows_after, lengths, strict=True)]
    return Joined(regular, _nearest_codes(parts, cleaned, regular.seconds), gaps)


def _stretches(parts: Sequence[Part], longest_gap: float, counts: Counter[str]) -> list[list[Part]]:
    """Divide the rows of several sensors where their common clock goes back.

    Where the stretches of each sensor do not overlap in time, as those of activities that are not stored in the order
    in which they were done, they are put in that order. Else the clock began anew, and the first stretches of all
    sensors belong together, the second ones, and so on.
    """
    divided = [_divide(part, longest_gap) for part in parts]
    if len(parts) == 1 or all(len(stretches) == 1 for stretches in divided):
        return [list(parts)]
    counts["times that go back"] += max(len(stretches) for stretches in divided) - 1
    if all(map(_are_disjoint, divided)):
        return [[_in_order(stretches, part) for stretches, part in zip(divided, parts, strict=True)]]
    together = list(zip(*divided, strict=False))
    if any(len(stretches) != len(together) for stretches in divided) or not all(map(_overlap, together)):
        raise BadRecordingError(
            f"{parts[0].table.place.where}: the clock goes back, and at other places than in "
            f"{parts[1].table.place.where}: it is not known what belongs together. Divide the recording there."
        )
    return [list(stretch) for stretch in together]


def _divide(part: Part, longest_gap: float) -> list[Part]:
    seconds = part.seconds if part.seconds is not None else np.arange(len(part.rows), dtype=np.float64)
    latest = np.maximum.accumulate(np.where(np.isfinite(seconds), seconds, -np.inf))
    begins = [0]
    for index in np.flatnonzero(latest - seconds > longest_gap):
        # The latest time of the stretch, not of all rows before.
        if seconds[index] < np.fmax.reduce(seconds[begins[-1] : index], initial=-np.inf) - longest_gap:
            begins.append(int(index))
    return [part.take(slice(begin, end)) for begin, end in pairwise([*begins, len(seconds)])]


def _span(part: Part) -> tuple[float, float]:
    seconds = part.seconds if part.seconds is not None else np.zeros(1)
    return float(np.nanmin(seconds)), float(np.nanmax(seconds))


def _are_disjoint(stretches: Sequence[Part]) -> bool:
    spans = sorted(map(_span, stretches))
    return all(before[1] < after[0] for before, after in pairwise(spans))


def _overlap(stretches: Sequence[Part]) -> bool:
    spans = list(map(_span, stretches))
    return max(begin for begin, _ in spans) <= min(end for _, end in spans)


def _in_order(stretches: Sequence[Part], part: Part) -> Part:
    """Return the stretches of a sensor one after another in the order of time."""
    ordered = sorted(stretches, key=_span)
    rows = np.concatenate([one.rows for one in ordered])
    return part.take(np.searchsorted(part.rows, rows))


def _nearest_codes(parts: Sequence[Part], cleaned: Sequence[Rows], seconds: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return the activity of each time: that of the nearest row of the first sensor that says any."""
    for part, rows in zip(parts, cleaned, strict=True):
        if part.codes is not None:
            later = np.searchsorted(rows.seconds, seconds).clip(0, len(rows) - 1)
            earlier = np.maximum(later - 1, 0)
            is_earlier = seconds - rows.seconds[earlier] < rows.seconds[later] - seconds - 1e-9
            return np.asarray(part.codes[rows.source[np.where(is_earlier, earlier, later)]])
    return np.full(len(seconds), UNLABELLED, np.int16)


def _resampled(rows: Rows, rate: float, longest_gap: float, sensor: str) -> dict[str, int]:
    """Count samples that were missing in time, and those resampled from another rate."""
    found: dict[str, int] = {}
    hz = measured_rate(rows.seconds)
    if hz is None:
        return found
    if abs(hz / rate - 1) > _RATE_TOLERANCE:
        found[f"samples resampled from {hz:.4g} Hz" + (f" ({sensor})" if sensor else "")] = len(rows)
    steps = np.diff(rows.seconds) * hz
    short = steps[(steps > LONGEST_STEP) & (steps <= max(longest_gap * hz, LONGEST_STEP))]
    found["samples interpolated"] = int((np.rint(short) - 1).clip(0).sum())
    return found
