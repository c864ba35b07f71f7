"""Your own recordings: a folder of text or Parquet files and a ``dataset.yml`` that says what is in them.

``dataset.yml`` is described in docs/your_data.md and :mod:`contrastive_har.sources.own.settings`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals
from pydantic import ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError, Recording
from contrastive_har.signals.sensors import Channel
from contrastive_har.sources.candidate import Candidate, File, NoRecordingError
from contrastive_har.sources.own.checks import count_saturated, refuse_wrong_units
from contrastive_har.sources.own.cleaning import Rows
from contrastive_har.sources.own.labels import (
    LEFT_OUT,
    IntervalTable,
    Labels,
    intervals_of,
    read_intervals,
    subject_name,
)
from contrastive_har.sources.own.parts import Part, clean
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.regular import measured_rate, put_on_clock
from contrastive_har.sources.own.roles import Kind, groups_of, kinds_of, looks_like, refuse_ignored
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading, divide, read_description_file
from contrastive_har.sources.own.tables import Table, TextTable, open_table

_MANY = 2_000_000  # rows of a file that are in memory at once, if no recording has more
_RATE_TOLERANCE = 0.02  # share by which the measured rate may differ from the declared one without being mentioned


def describe(folder: Path) -> DatasetDescription:
    """Read ``dataset.yml``.

    Raises:
        BadRecordingError: if it is missing or invalid.
    """
    return _describe(folder)[0]


def distinct_subjects(folder: Path) -> frozenset[str]:
    """Return the names of subjects that are said to be different people although their names are similar."""
    return frozenset(_describe(folder)[1].subjects.values())


def _describe(folder: Path) -> tuple[DatasetDescription, Reading]:
    path = folder / DESCRIPTION_FILE
    reading, content = divide(read_description_file(folder), path)
    if "name" in content:
        raise BadRecordingError(f"{path}: 'name' is not a key here; use 'title'.")
    try:
        description = DatasetDescription.model_validate({"title": "My data", **content, "name": "my_data"})
        Labels(description, reading)
    except ValidationError as error:
        raise BadRecordingError(f"{path}: {explain(error)}. See docs/your_data.md.") from error
    except ValueError as error:
        raise BadRecordingError(f"{path}: {error}.") from error
    known = {*description.channel_names, *(one.sensor for one in description.channels)}
    for key in ("units", "limits"):
        if unknown := set(getattr(reading, key)) - known:
            raise BadRecordingError(f"{path}: {key}: no channel or sensor '{sorted(unknown)[0]}'. Correct the name.")
    return description, reading


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the recordings' files in the order of their names, and say which others are passed over."""
    _, reading = _describe(folder)
    found = find_places(folder)
    places = [one for one in found if isinstance(one, Place)]
    kinds, others = kinds_of(places, reading)
    if not kinds:
        raise BadRecordingError(f"{folder}: no CSV or Parquet file. Put your recordings there; see docs/your_data.md.")
    labels = Labels(description, reading)
    intervals: list[IntervalTable] = []
    for place, kind in others:
        if kind is None:
            yield _passed_over(place.name, f"{place.where}: passed over: no pattern in {DESCRIPTION_FILE} suits it.")
        else:
            try:
                intervals.append(read_intervals(kind, labels))
            except BadRecordingError as error:
                yield Candidate.failed(place.name, place.where, error)
    for other in found:
        if isinstance(other, PassedOver):
            yield _passed_over(other.name, f"{folder / other.name}: passed over: {other.reason}.")
    reader = _Reader(description, reading, labels, tuple(intervals))
    for name, group in groups_of(kinds, description.channel_names):
        yield partial(reader.candidates, name, group)


def _passed_over(name: str, reason: str) -> Candidate:
    return Candidate.failed(name, name, NoRecordingError(reason))


@dataclass(frozen=True)
class _Rows:
    """Rows of a table: samples, and the names that its columns have for them by role."""

    part: Part
    names: dict[str, pd.Categorical]

    def __len__(self) -> int:
        return len(self.part.rows)

    def take(self, which: slice | NDArray[np.intp]) -> _Rows:
        part = self.part
        taken = replace(
            part,
            rows=part.rows[which],
            numbers=part.numbers[which],
            seconds=None if part.seconds is None else part.seconds[which],
            codes=None if part.codes is None else part.codes[which],
        )
        return _Rows(taken, {role: names[which] for role, names in self.names.items()})

    @classmethod
    def joined(cls, several: Sequence[_Rows]) -> _Rows:
        if len(several) == 1:
            return several[0]
        parts = [one.part for one in several]
        part = replace(
            parts[0],
            rows=np.concatenate([one.rows for one in parts]),
            numbers=np.concatenate([one.numbers for one in parts]),
            seconds=_concatenated([one.seconds for one in parts]),
            codes=_concatenated([one.codes for one in parts]),
        )
        return cls(part, {role: union_categoricals([one.names[role] for one in several]) for role in several[0].names})


class _Reader:
    """Reads the files of a folder.

    Args:
        description: What recordings have in common.
        reading: How the files are written.
        labels: Names of activities.
        intervals: Intervals of activities.
    """

    def __init__(
        self, description: DatasetDescription, reading: Reading, labels: Labels, intervals: Sequence[IntervalTable]
    ) -> None:
        self._description, self._reading, self._labels, self._intervals = description, reading, labels, intervals

    def candidates(self, name: str, kinds: Sequence[Kind]) -> Iterator[Candidate]:
        """Find the recordings in files that belong together; one that cannot be read is a failed one."""
        where = kinds[0].place.where
        try:
            if len(kinds) == 1:
                yield from self._in_file(name, kinds[0])
            else:
                yield self._in_files(name, kinds)
        except BadRecordingError as error:
            yield Candidate.failed(name, where, error)

    def _in_file(self, name: str, kind: Kind) -> Iterator[Candidate]:
        """Find the recordings of one file: by its column ``recording``, else by its subjects and groups."""
        table = self._open(kind, self._description.channels)
        done: set[str] = set()
        for section, is_last in _sections(self._rows(kind, table, self._description.channels)):
            found = list(self._divide(name, section, is_only=is_last and not done))
            for own_name, rows in found:
                if own_name in done:
                    raise BadRecordingError(
                        f"{rows.part.at(0)}: recording '{own_name}' continues after others. Sort the rows by "
                        "recording, "
                        "then by time."
                    )
                done.add(own_name)
            for own_name, rows in found:
                yield Candidate(own_name, kind.place.where, partial(self._load, own_name, [rows]))
        if not done:
            raise BadRecordingError(f"{kind.place.where}: a header but no rows. The file is truncated; copy it again.")

    def _divide(self, name: str, section: _Rows, is_only: bool) -> Iterator[tuple[str, _Rows]]:
        if "recording" in section.names:
            column = section.names["recording"]
            for code in pd.unique(column.codes):
                yield str(column.categories[code]), section.take(np.flatnonzero(column.codes == code))
            return
        edges = _edges(section)
        if is_only and len(edges) == 2:
            yield name, section
            return
        for begin, end in pairwise(edges):
            rows = section.take(slice(begin, end))
            yield "/".join([name, *(str(names[0]) for names in rows.names.values())]), rows

    def _in_files(self, name: str, kinds: Sequence[Kind]) -> Candidate:
        """Join the files of the sensors of one recording."""
        several: list[_Rows] = []
        seen: dict[str, str] = {}
        for kind in kinds:
            names = open_table(kind.place, kind.layout).names
            channels = [one for one in self._description.channels if kind.column(one.name) in names]
            if not channels:
                raise BadRecordingError(
                    f"{kind.place.where}: no column of a channel; found {', '.join(map(repr, names))}. Correct "
                    "'columns' "
                    f"in {DESCRIPTION_FILE}."
                )
            for channel in channels:
                if channel.name in seen:
                    raise BadRecordingError(
                        f"{kind.place.where}: '{channel.name}' of recording '{name}' is in {seen[channel.name]} too. "
                        f"Correct the patterns in {DESCRIPTION_FILE}."
                    )
                seen[channel.name] = kind.place.where
            table = self._open(kind, channels)
            blocks = list(self._rows(kind, table, channels))
            if not blocks:
                raise BadRecordingError(f"{kind.place.where}: a header but no rows. Copy it again.")
            if blocks[0].part.seconds is None:
                raise BadRecordingError(
                    f"{kind.place.where}: no time stamps, by which the sensors of recording '{name}' could be joined. "
                    f"Write 'timestamp: {{column: ...}}' in {DESCRIPTION_FILE}."
                )
            several.append(_Rows.joined(blocks))
        if missing := [one for one in self._description.channel_names if one not in seen]:
            raise BadRecordingError(
                f"{kinds[0].place.where}: recording '{name}' has no file with {', '.join(map(repr, missing))}. Add "
                "it, or "
                f"correct 'columns' or 'pattern' in {DESCRIPTION_FILE}."
            )
        return Candidate(name, kinds[0].place.where, partial(self._load, name, several))

    def _open(self, kind: Kind, channels: Sequence[Channel]) -> Table:
        """Look at the columns of a file.

        Raises:
            NoRecordingError: if it has none of a recording.
            BadRecordingError: if one is missing, or one that looks like a needed one is not declared.
        """
        table = open_table(kind.place, kind.layout)
        where, names = kind.place.where, [name for name in table.names if name]
        needed = [channel.name for channel in channels]
        missing = [one for one in needed if kind.column(one) not in names]
        if len(missing) == len(needed) and not kind.layout.columns:
            self._refuse_other_table(table, missing)
        if len(channels) == len(self._description.channels):  # sensors' files need not all say whose they are
            missing = [
                *(one for one in ("subject", *self._description.groups) if kind.column(one) not in names),
                *missing,
            ]
            missing = [one for one in missing if one not in kind.values]
        if missing:
            cure = f"Rename the column, or write 'columns: {{{missing[0]}: ...}}' in {DESCRIPTION_FILE}"
            if missing[0] == "subject":
                alike = looks_like(names, "subject")
                cure += f" ('{alike[0]}' may be it)" if alike else ""
                cure += "; if the file has none, 'values: {subject: ...}' or 'pattern: \"{subject}.csv\"'"
            raise BadRecordingError(
                f"{where}: no column {', '.join(repr(kind.column(one)) for one in missing)}; found "
                f"{', '.join(map(repr, names))[:500]}. {cure}."
            )
        optional = ("timestamp", "activity") if self._reading.intervals is None else ("timestamp",)
        used = ("subject", "recording", *self._description.groups, *self._description.channel_names)
        refuse_ignored(kind, table, optional, [kind.column(role) for role in used], self._reading)
        if kind.layout.timestamp.column != "timestamp" and kind.column("timestamp") not in names:
            raise BadRecordingError(
                f"{where}: no column '{kind.column('timestamp')}'; found {', '.join(map(repr, names))[:500]}. Correct "
                f"'timestamp' in {DESCRIPTION_FILE}."
            )
        return table

    def _refuse_other_table(self, table: Table, channels: Sequence[str]) -> None:
        """Refuse a table without channels: of another delimiter, with lines before the header, or something else."""
        where, layout = table.place.where, table.layout
        if isinstance(table, TextTable):
            proposal = table.propose(channels)
            if proposal:
                raise BadRecordingError(
                    f"{where}: no column {', '.join(map(repr, channels))} in '{table.names[0][:60]}...', but there is. "
                    f"Write '{proposal}' in {DESCRIPTION_FILE}."
                )
        if not layout.header and not any(looks_like(table.names, role) for role in ("timestamp", "subject")):
            raise NoRecordingError(
                f"{where}: passed over: no column {', '.join(map(repr, channels))}; found "
                f"{', '.join(map(repr, table.names))[:500]}. If it is a recording, write 'columns: {{{channels[0]}: "
                f"...}}' in {DESCRIPTION_FILE}."
            )

    def _rows(self, kind: Kind, table: Table, channels: Sequence[Channel]) -> Iterator[_Rows]:
        """Read a file in blocks of rows."""
        roles = [one for one in ("recording", "subject", *self._description.groups) if one not in kind.values]
        columns = {one: kind.column(one) for one in roles if kind.column(one) in table.names}
        activity = kind.column("activity") if self._reading.intervals is None else ""
        has_activity = activity in table.names and "activity" not in kind.values
        stamp = kind.column("timestamp")
        stamps = kind.layout.timestamp.model_copy(update={"column": stamp}) if stamp in table.names else None
        texts = [*columns.values(), *([activity] if has_activity else [])]
        constant = None
        if "activity" in kind.values:
            constant = self._labels.of(kind.values["activity"], kind.place.where)
        for block in table.blocks([kind.column(one.name) for one in channels], list(dict.fromkeys(texts)), stamps):
            rows = block.first + np.arange(len(block.numbers))
            codes = None
            if constant is not None:
                codes = np.full(len(rows), constant, np.int16)
            elif has_activity:
                codes = self._codes(block.texts[activity], table, rows)
            part = Part(kind, table, channels, rows, block.numbers, block.seconds, codes)
            yield _Rows(
                part, {one: self._checked(one, block.texts[name], table, rows) for one, name in columns.items()}
            )

    def _codes(self, names: pd.Categorical, table: Table, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        known = [self._labels.codes.get(str(name)) for name in names.categories]
        unknown = np.array([code is None for code in known], bool)[names.codes]
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            self._labels.of(str(names[row]), f"{table.place.where}, row {table.line(int(rows[row]))}")
        codes = np.array([UNLABELLED if code is None else code for code in known], np.int16)
        return np.asarray(codes[names.codes])

    def _checked(self, role: str, names: pd.Categorical, table: Table, rows: NDArray[np.int64]) -> pd.Categorical:
        """Return names of subjects, recordings or groups in one spelling."""
        spelled = []
        for code, name in enumerate(names.categories):
            present = np.flatnonzero(names.codes == code)
            if not len(present):
                spelled.append("")
                continue
            try:
                spelled.append(self._spelled(role, str(name)))
            except ValueError as error:
                where = f"{table.place.where}, row {table.line(int(rows[present[0]]))}"
                raise BadRecordingError(f"{where}: '{role}' {error}.") from error
        categories, places = np.unique(spelled, return_inverse=True)
        return pd.Categorical.from_codes(places[names.codes].astype(np.int32), categories.astype(object))

    def _spelled(self, role: str, name: str) -> str:
        if not name:
            raise ValueError("is empty. Fill it in, or remove the row")
        name = name if role == "recording" else subject_name(name)
        if not name.isprintable():
            raise ValueError(f"has characters that cannot be printed: {name!r}. Correct the name")
        return self._reading.subjects.get(name, name) if role == "subject" else name

    def _load(self, name: str, sensors: Sequence[_Rows]) -> Recording:
        rate, reading = self._description.sampling_rate_hz, self._reading
        where = sensors[0].part.table.place.where
        facts = self._facts(name, sensors)
        counts: Counter[str] = Counter()
        parts = []
        for rows in sensors:
            part = rows.part
            if reading.intervals is not None and part.seconds is not None:
                folder = part.kind.place.plain.parent.as_posix()
                codes, empty = intervals_of(name, folder, part.seconds, self._intervals)
                part = replace(part, codes=codes)
                if part is not sensors[0].part:
                    counts["intervals without a sample"] = max(counts["intervals without a sample"], empty)
            if part.codes is not None and (left_out := part.codes == LEFT_OUT).any():
                counts["samples of activities to leave out"] += int(left_out.sum())
                part = _Rows(part, {}).take(np.flatnonzero(~left_out)).part
            if not len(part.rows):
                raise BadRecordingError(f"{where}: recording '{name}' has no samples but those to leave out.")
            parts.append(part)
        cleaned = [clean(part, rate, reading, counts) for part in parts]
        regular = put_on_clock(cleaned, rate, reading.longest_gap)
        if not len(regular.clock):
            raise BadRecordingError(
                f"{where}: recording '{name}' has no time in which all sensors have samples. Compare the time "
                "stamps of "
                "its files."
            )
        jumps = np.flatnonzero(np.diff(regular.clock) > 1)
        if len(jumps) and reading.gaps == "reject":
            row = int(
                parts[0].rows[cleaned[0].source[np.searchsorted(cleaned[0].seconds, regular.seconds[jumps[0] + 1])]]
            )
            length = (regular.clock[jumps[0] + 1] - regular.clock[jumps[0]]) / rate
            raise BadRecordingError(
                f"{where}, row {parts[0].table.line(row)}: a gap of {length:.3g} s before this row. Fill it, or write "
                f"'gaps: split' in {DESCRIPTION_FILE} to divide the recording there."
            )
        counts["gaps"] += len(jumps)
        for part, clean_rows in zip(parts, cleaned, strict=True):
            counts.update(
                _resampled(clean_rows, rate, reading.longest_gap, part.channels[0].name if len(parts) > 1 else "")
            )
        channels = [channel for part in parts for channel in part.channels]
        order = [channels.index(channel) for channel in self._description.channels]
        samples = regular.samples[:, order]
        if reading.check_units:
            refuse_wrong_units(samples, self._description.channels, rate, where)
        counts["saturated samples"] += count_saturated(samples)
        counts = +counts
        total = {"rows in the file": sum(len(rows) for rows in sensors)} if counts else {}
        return Recording(
            subject=facts["subject"],
            name=name,
            sample=regular.clock,
            activity=_nearest_codes(parts, cleaned, regular.seconds),
            samples=samples.astype(np.float32),
            groups={group: facts[group] for group in self._description.groups},
            mended={**total, **counts},
        )

    def _facts(self, name: str, sensors: Sequence[_Rows]) -> dict[str, str]:
        """Return the subject and the groups of a recording.

        Raises:
            BadRecordingError: if it belongs to two, or to none.
        """
        facts: dict[str, str] = {}
        for rows in sensors:
            part, kind = rows.part, rows.part.kind
            for role in ("subject", *self._description.groups):
                if role in kind.values:
                    try:
                        found = self._spelled(role, kind.values[role])
                    except ValueError as error:
                        raise BadRecordingError(f"{kind.place.where}: '{role}' {error}.") from error
                elif role in rows.names:
                    column = rows.names[role]
                    found = str(column[0])
                    if (other := column.codes != column.codes[0]).any():
                        index = int(np.flatnonzero(other)[0])
                        self._refuse_two(part.at(index), name, role, found, str(column[index]))
                else:
                    continue
                if facts.setdefault(role, found) != found:
                    self._refuse_two(kind.place.where, name, role, facts[role], found)
        if missing := [role for role in ("subject", *self._description.groups) if role not in facts]:
            raise BadRecordingError(
                f"{sensors[0].part.table.place.where}: no file of recording '{name}' says its {missing[0]}. Write "
                "'values: "
                f"{{{missing[0]}: ...}}' or a pattern with {{{missing[0]}}} in {DESCRIPTION_FILE}."
            )
        return facts

    @staticmethod
    def _refuse_two(where: str, name: str, role: str, first: str, second: str) -> None:
        raise BadRecordingError(
            f"{where}: recording '{name}' belongs to {role} '{first}' and to '{second}'. Give each {role} "
            "recordings of "
            "its own."
        )


def _sections(blocks: Iterable[_Rows]) -> Iterator[tuple[_Rows, bool]]:
    """Join blocks so that recordings are whole, where their rows follow one another; large files come in several.

    Returns:
        Rows, and whether they are the last.
    """
    waiting: list[_Rows] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) > _MANY:
            joined = _Rows.joined(waiting)
            last = _edges(joined)[-2]
            if last:
                yield joined.take(slice(0, last)), False
            waiting = [joined.take(slice(last, None))]
    if waiting:
        yield _Rows.joined(waiting), True


def _edges(rows: _Rows) -> list[int]:
    """Return the first index of each run of rows with the same names, and their number."""
    changes = np.zeros(len(rows) - 1, bool)
    for role, names in rows.names.items():
        if role == "recording" or "recording" not in rows.names:
            changes |= np.diff(names.codes) != 0
    return [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)]


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


def _concatenated(arrays: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [one for one in arrays if one is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None
