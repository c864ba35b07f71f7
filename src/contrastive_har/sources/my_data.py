"""Your own recordings: a folder of text or Parquet files and a ``dataset.yml`` that says what is in them.

``dataset.yml`` is described in docs/your_data.md and :mod:`contrastive_har.sources.own.settings`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.candidate import Candidate, File, NoRecordingError
from contrastive_har.sources.own.description_files import divide, read_description_file
from contrastive_har.sources.own.intervals import IntervalTable, read_intervals
from contrastive_har.sources.own.labels import Labels, spelled
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.reader import Reader
from contrastive_har.sources.own.roles import Kind, groups_of, kinds_of
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading


def describe(folder: Path) -> DatasetDescription:
    """Read what ``dataset.yml`` says about recordings.

    Raises:
        BadRecordingError: if it is missing or invalid.
    """
    return read_description(folder)[0]


def read_description(folder: Path) -> tuple[DatasetDescription, Reading]:
    """Read ``dataset.yml``: what recordings have in common, and how their files are written.

    Raises:
        BadRecordingError: if it is missing or invalid.
    """
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
    roles = {"timestamp", "subject", "activity", "recording", *description.groups, *description.channel_names}
    for layout in reading.layouts:
        if unknown := ({*layout.columns, *layout.values, *layout.fields} - roles):
            raise BadRecordingError(f"{path}: unknown '{min(unknown)}'; known are {', '.join(sorted(roles))[:500]}.")
    of_intervals = {"start", "end", "duration", "activity", "recording", "subject"}
    if reading.intervals is not None and (unknown := {*reading.intervals.columns} - of_intervals):
        raise BadRecordingError(
            f"{path}: intervals: unknown column '{min(unknown)}'; known are {', '.join(sorted(of_intervals))}."
        )
    known = {*description.channel_names, *(one.sensor for one in description.channels)}
    for key in ("units", "limits"):
        if unknown := set(getattr(reading, key)) - known:
            raise BadRecordingError(f"{path}: {key}: no channel or sensor '{sorted(unknown)[0]}'. Correct the name.")
    return description, reading


def files(folder: Path, description: DatasetDescription, reading: Reading) -> Iterator[File]:
    """Find the recordings' files in the order of their names, and say which others are passed over."""
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
                intervals.append(read_intervals(kind, labels, reading))
            except BadRecordingError as error:
                intervals.append(IntervalTable(kind, None))
                yield Candidate.failed(place.name, place.where, error)
    for other in found:
        if isinstance(other, PassedOver):
            yield _passed_over(other.name, f"{folder / other.name}: passed over: {other.reason}.")
    if reading.intervals is not None and not any(kind is not None for _, kind in others):
        raise BadRecordingError(
            f"{folder}: no file of intervals suits 'pattern: {reading.intervals.pattern}'. Correct it in "
            f"{DESCRIPTION_FILE}."
        )
    groups = groups_of(kinds, description.channel_names)
    folders = Counter(group[0].place.plain.parent for _, group in groups)
    only = {group[0].place.plain.parent: name for name, group in groups if folders[group[0].place.plain.parent] == 1}
    intervals = [replace(one, only=only.get(one.kind.place.plain.parent)) for one in intervals]
    yield from _unknown_recordings(intervals, kinds, {name for name, _ in groups})
    yield from _unknown_subjects(intervals, kinds, reading)
    reader = Reader(description, reading, labels, tuple(intervals))
    for name, group in groups:
        yield partial(reader.candidates, name, group)


def _passed_over(name: str, reason: str) -> Candidate:
    return Candidate.failed(name, name, NoRecordingError(reason))


def _unknown_recordings(
    intervals: Sequence[IntervalTable], kinds: Sequence[Kind], names: Collection[str]
) -> Iterator[Candidate]:
    """Say which intervals name a recording that there is not, where files and not columns have the names."""
    for one in intervals:
        if one.table is None:
            continue
        unknown = one.table[(one.table["recording"] != "") & ~one.table["recording"].isin(list(names))]
        named_in_rows = any(kind.column("recording") in kind.names for kind in kinds)
        if one.recording is not None or unknown.empty or named_in_rows:
            continue
        yield _unknown(one, unknown.iloc[0], "recording", names)


def _unknown_subjects(
    intervals: Sequence[IntervalTable], kinds: Sequence[Kind], reading: Reading
) -> Iterator[Candidate]:
    """Say which intervals name a subject that there is not, where files and not columns have the names."""
    if any("subject" not in kind.values for kind in kinds):
        return
    try:
        people = sorted({spelled("subject", kind.values["subject"], reading) for kind in kinds})
    except ValueError:
        return  # the recordings of that name are refused
    for one in intervals:
        if one.table is None:
            continue
        unknown = one.table[(one.table["subject"] != "") & ~one.table["subject"].isin(people)]
        if not unknown.empty:
            yield _unknown(one, unknown.iloc[0], "subject", people)


def _unknown(table: IntervalTable, row: pd.Series, role: str, names: Collection[str]) -> Candidate:
    reason = f"{table.where}, row {row['line']}: no {role} '{row[role]}'. There are: {', '.join(names)[:300]}. "
    return Candidate.failed(str(row[role]), table.where, BadRecordingError(f"{reason}Correct the name."))
