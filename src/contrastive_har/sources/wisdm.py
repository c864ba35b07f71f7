"""WISDM (Weiss 2019): eighteen activities with a phone in the pocket or a watch on the wrist, from the raw files.

A file holds the rows of one sensor and person, ``id,activity,time in nanoseconds,x,y,z;``. A recording is a stretch of
one activity in which both sensors have rows, without a gap above :data:`LONGEST_GAP`, on one clock of 20 Hz:

* Rows of another form or with an odd time, and rows that repeat an earlier one of the activity, are left out.
* Rows are put in the order of their times, and those of equal times spread evenly up to the next time. A larger step
  than a gap may have, ahead or back, begins another stretch.
* Stretches of both sensors that share most time are joined first. A stretch that shares none, or whose rate no clock of
  20 Hz suits, is rejected.
* Values are interpolated linearly, those of a sensor that is much faster after a low-pass filter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.clocks import resample
from contrastive_har.sources.mending import LONGEST_GAP, apart, odd, repeated

_SENSORS = {"accel": "accelerometer", "gyro": "gyroscope"}
_NUMBER = r"(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_ROW = rf",([A-MO-S]),(\d+),{_NUMBER},{_NUMBER},{_NUMBER}"
_FIRST_LETTER = ord("A")  # of the activities; its code is 0
_NANOSECONDS = 1e9
_Rows = tuple[
    NDArray[np.float64], int
]  # times in nanoseconds and values (rows, 4), and how many of another form follow
_NO_ROWS: _Rows = (np.empty((0, 4)), 0)
_RATES = (10.0, 400.0)  # in Hz, the lowest and the highest from which a clock of 20 Hz is made
_SAME = 5e-5  # seconds by which equal times may differ
_FASTER = 1.5  # times the rate of the clock, above which values are filtered


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Rows of one activity and sensor without a gap: ascending times in seconds (time,) and values (time, 3)."""

    seconds: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def rate(self) -> float:
        """Usual rate in Hz; 0 if all rows have one time."""
        step = float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0
        return 1 / step if step else 0.0

    @property
    def is_usable(self) -> bool:
        """Whether a clock of 20 Hz can be made from its rate."""
        return _RATES[0] <= self.rate <= _RATES[1]

    def rows_outside(self, pairs: Sequence[_Pair]) -> int:
        """Count the rows at times that are in none of the pairs."""
        inside = [(pair.start <= self.seconds) & (self.seconds <= pair.end) for pair in pairs]
        return int((~np.any(inside, axis=0)).sum())


@dataclass(frozen=True, eq=False)
class _Pair:
    """A stretch of each sensor; they share the time from ``start`` to ``end``."""

    stretches: tuple[_Stretch, _Stretch]

    @property
    def start(self) -> float:
        return float(max(stretch.seconds[0] for stretch in self.stretches))

    @property
    def end(self) -> float:
        return float(min(stretch.seconds[-1] for stretch in self.stretches))

    def competes_with(self, other: _Pair) -> bool:
        """Return whether both use the same time of a stretch."""
        share = any(one is another for one, another in zip(self.stretches, other.stretches, strict=True))
        return share and self.start < other.end and other.start < self.end


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files of the device; two of them, one of each sensor, hold all stretches of one person."""
    device = description.name.removeprefix("wisdm_")
    people: dict[str, dict[str, Member]] = {}
    for member in find_members(folder, rf"(?:.*/)?data_(\d+)_({'|'.join(_SENSORS)})_{device}\.txt", description):
        person, sensor = member.parts
        people.setdefault(person, {})[sensor] = member
    for person, members in people.items():
        yield partial(_of_person, person, members, description)


def _of_person(person: str, members: Mapping[str, Member], description: DatasetDescription) -> Iterator[Candidate]:
    where = next(iter(members.values())).where
    if missing := [name for sensor, name in _SENSORS.items() if sensor not in members]:
        refusal = BadRecordingError(f"{where}: this person has no file of the {missing[0]}. Add it.")
        yield Candidate.failed(f"subject {person}", where, refusal)
        return
    try:
        rows = {sensor: _read(members[sensor], person) for sensor in _SENSORS}
    except Exception as error:  # noqa: BLE001 - raised again when the candidate is loaded
        yield Candidate.failed(f"subject {person}", where, error)
        return
    for letter in sorted({letter for of_sensor in rows.values() for letter in of_sensor}):
        of_letter = {sensor: rows[sensor].get(letter, _NO_ROWS) for sensor in _SENSORS}
        yield from _of_activity(person, ord(letter) - _FIRST_LETTER, of_letter, members, description)


def _of_activity(
    person: str, code: int, rows: Mapping[str, _Rows], members: Mapping[str, Member], description: DatasetDescription
) -> Iterator[Candidate]:
    name = f"subject {person}, {description.activities[code]}"
    mended: Counter[str] = Counter()
    stretches = {sensor: _stretches(*rows[sensor], mended) for sensor in _SENSORS}
    pairs = _pairs(*stretches.values())
    for index, (sensor, title) in enumerate(_SENSORS.items()):
        alone = []
        for stretch in stretches[sensor]:
            if used := [pair for pair in pairs if pair.stretches[index] is stretch]:
                mended["rows without the other sensor"] += stretch.rows_outside(used)
            else:
                alone.append(stretch)
        if alone:
            here, there = (members[key].where for key in sorted(_SENSORS, key=lambda key: key != sensor))
            refusal = BadRecordingError(f"{here}: {_refusal(alone, there)}")
            yield Candidate.failed(f"{name}, {title}", here, refusal)
    where = members["accel"].where
    for number, pair in enumerate(pairs, start=1):
        title = f"{name}, stretch {number}"
        # What was mended before there were stretches is counted with the first of them.
        counts = mended if number == 1 else Counter[str]()
        yield Candidate(title, where, partial(_load, person, title, code, pair.stretches, description, counts))


def _read(member: Member, person: str) -> dict[str, _Rows]:
    """Read a file; its rows by the letter of the activity."""
    pattern = re.compile(f"{person}{_ROW}".encode())
    lines = [line for line in map(bytes.strip, re.split(rb"[;\r\n]", member.read())) if line]
    matches = [pattern.fullmatch(line) for line in lines]
    rows = [match.groups() for match in matches if match]
    if not rows:
        raise BadRecordingError(f"{member.where}: no row '{person},activity,time,x,y,z;'. Copy it again.")
    letters, numbers = np.array([row[0] for row in rows]), np.array([row[1:] for row in rows]).astype(np.float64)
    is_row = np.array([match is not None for match in matches])
    others = Counter(letters[np.maximum(np.cumsum(is_row)[~is_row] - 1, 0)].tolist())
    return {letter.decode(): (numbers[letters == letter], others[letter]) for letter in np.unique(letters).tolist()}


def _stretches(rows: NDArray[np.float64], others: int, mended: Counter[str]) -> list[_Stretch]:
    """Divide the rows of an activity, times and values (rows, 4), and add to the counts of what was mended."""
    again = repeated(rows[:, 0], rows[:, 1:])
    rows = rows[~again]
    is_odd = odd(rows[:, 0] / _NANOSECONDS)
    rows = rows[~is_odd]
    mended["rows of another form"] += others
    mended["rows that repeat another"] += int(again.sum())
    mended["rows of odd times"] += int(is_odd.sum())
    breaks = np.flatnonzero(np.abs(np.diff(rows[:, 0])) > LONGEST_GAP * _NANOSECONDS) + 1
    stretches = []
    for part in np.split(rows, breaks) if len(rows) else []:
        ordered = part[np.argsort(part[:, 0], kind="stable")]
        stretches.append(_Stretch(apart(ordered[:, 0] / _NANOSECONDS), ordered[:, 1:]))
        mended["rows out of order"] += int((np.diff(part[:, 0]) < 0).sum())
        mended["rows of equal times"] += int((np.diff(ordered[:, 0]) == 0).sum())
    return stretches


def _pairs(ours: Sequence[_Stretch], theirs: Sequence[_Stretch]) -> list[_Pair]:
    """Join stretches that share time, those that share most first; no time of a stretch is used twice."""
    ours, theirs = ([one for one in these if one.is_usable] for these in (ours, theirs))
    candidates = [pair for one in ours for other in theirs if (pair := _Pair((one, other))).start < pair.end]
    pairs: list[_Pair] = []
    for pair in sorted(candidates, key=lambda pair: pair.start - pair.end):
        if not any(pair.competes_with(other) for other in pairs):
            pairs.append(pair)
    return sorted(pairs, key=lambda pair: pair.start)


def _refusal(alone: Sequence[_Stretch], there: str) -> str:
    """Say why stretches are not joined with any in the other sensor's file."""
    rows = sum(len(stretch.seconds) for stretch in alone)
    first, last = min(stretch.seconds[0] for stretch in alone), max(stretch.seconds[-1] for stretch in alone)
    unusable = sum(len(stretch.seconds) for stretch in alone if not stretch.is_usable)
    return (
        f"{rows} rows of this activity between {first:.3f} and {last:.3f} s cannot be joined with those of {there}: "
        f"none has their times{f', or the rate of {unusable} of them suits no clock of 20 Hz' if unusable else ''}. "
        "Correct the times, or leave the rows out."
    )


def _load(
    person: str,
    name: str,
    code: int,
    stretches: tuple[_Stretch, _Stretch],
    description: DatasetDescription,
    mended: Mapping[str, int],
) -> Recording:
    pair, rate = _Pair(stretches), description.sampling_rate_hz
    count = int(np.floor((pair.end - pair.start) * rate + _SAME * rate)) + 1
    clock = np.minimum(pair.start + np.arange(count) / rate, pair.end)
    in_gap, columns = np.zeros(count, bool), []
    for stretch in stretches:
        later = np.searchsorted(stretch.seconds, clock).clip(1, len(stretch.seconds) - 1)
        since, until = clock - stretch.seconds[later - 1], stretch.seconds[later] - clock
        in_gap |= (since + until > LONGEST_STEP / rate) & (np.minimum(since, until) > _SAME)
        from_hz = stretch.rate if stretch.rate > _FASTER * rate else rate
        columns.append(resample(clock, stretch.seconds, stretch.values, from_hz, rate))
    mended = {**mended, "samples interpolated": int(in_gap.sum())}
    return Recording(
        subject=person,
        name=name,
        sample=np.arange(count),
        activity=np.full(count, code, np.int16),
        samples=np.hstack(columns).astype(np.float32),
        mended={what: number for what, number in mended.items() if number},
    )
