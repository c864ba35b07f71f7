"""Your own recordings: a folder of text or Parquet files and a ``dataset.yml`` that says what is in them.

``dataset.yml`` is described in docs/your_data.md and :mod:`contrastive_har.sources.own.settings`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.candidate import Candidate, File, NoRecordingError
from contrastive_har.sources.own.intervals import IntervalTable, read_intervals
from contrastive_har.sources.own.labels import Labels
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.reader import Reader
from contrastive_har.sources.own.roles import Kind, groups_of, kinds_of
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading, divide, read_description_file


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
    roles = {"timestamp", "subject", "activity", "recording", *description.groups, *description.channel_names}
    for layout in reading.layouts:
        if unknown := ({*layout.columns, *layout.values, *layout.fields} - roles):
            raise BadRecordingError(f"{path}: unknown '{min(unknown)}'; known are {', '.join(sorted(roles))[:500]}.")
    of_intervals = {"start", "end", "activity", "recording"}
    if reading.intervals is not None and (unknown := {*reading.intervals.columns} - of_intervals):
        raise BadRecordingError(
            f"{path}: intervals: unknown column '{min(unknown)}'; known are start, end, activity, recording."
        )
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
                intervals.append(read_intervals(kind, labels, reading))
            except BadRecordingError as error:
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
    yield from _unknown_recordings(intervals, kinds, {name for name, _ in groups})
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
        unknown = one.table[(one.table["recording"] != "") & ~one.table["recording"].isin(list(names))]
        if one.recording is not None or unknown.empty or any(map(_names_recordings, kinds)):
            continue
        first = unknown.iloc[0]
        known = ", ".join(names)[:300]
        reason = f"{one.where}, row {first['line']}: no recording '{first['recording']}'. There are: {known}."
        yield Candidate.failed(str(first["recording"]), one.where, BadRecordingError(reason))


def _names_recordings(kind: Kind) -> bool:
    try:
        return kind.column("recording") in open_table(kind.place, kind.layout).names
    except BadRecordingError:  # said when it is read
        return False
