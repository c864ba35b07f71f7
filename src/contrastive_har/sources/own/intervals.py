"""Activities from files of intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.formats import has_date
from contrastive_har.sources.own.forms import refuse_other_form
from contrastive_har.sources.own.interval_clocks import UNDER, Clock, refuse_other_clock, refuse_shown_twice
from contrastive_har.sources.own.labels import Labels, spelled
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.roles import Kind, cells_of, looks_like, plain
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, TIME_UNITS, Intervals, Reading, quoted
from contrastive_har.sources.own.tables import Table

_UNIT = re.compile(rf"[(\[](?P<inside>{'|'.join(TIME_UNITS)})[)\]]|[\s_.]+(?P<last>{'|'.join(TIME_UNITS)})$")
"""The unit in a column's name: in brackets, or last as in ``duration_ms``."""
DURATIONS = ("duration", "length", "dauer", "durée", "durata", "seconds", "elapsedtime")
BEGINS = ("start", "begin", "from", "since", "onset", "anfang", "von", "debut", "starttime", "timestart", "begintime")
ENDS = (
    "end",
    "stop",
    "to",
    "until",
    "finish",
    "ende",
    "bis",
    "fin",
    "endtime",
    "stoptime",
    "timeend",
    "timestop",
    "offset",
)


_HALF_A_DAY = 43_200.0  # seconds


@dataclass(frozen=True)
class IntervalTable:
    """Intervals of activities.

    Attributes:
        kind: The file.
        table: One row per interval: recording and subject ('' if not said), start and end (seconds), code, line; None
            if the file cannot be used.
        only: The only recording in the folder of the file; None if there are several.
        are_local: Whether times are local, so that a time zone says which are meant.
    """

    kind: Kind
    table: pd.DataFrame | None
    only: str | None = None
    are_local: bool = False

    @property
    def recording(self) -> str | None:
        """The recording that the file's name says."""
        return self.kind.fields.get("recording")

    @property
    def where(self) -> str:
        """The file for messages."""
        return self.kind.place.where

    @property
    def is_relative(self) -> bool:
        """Whether times count from the first sample of a recording."""
        return isinstance(self.kind.layout, Intervals) and self.kind.layout.relative

    def of(self, recording: str, subject: str, folder: str) -> pd.DataFrame:
        """Return the intervals of a recording: those that name it or its subject, else those of its folder.

        Raises:
            BadRecordingError: if the file cannot be used.
        """
        if self.recording not in (None, recording):
            return pd.DataFrame()
        if self.table is None:
            within = PurePosixPath(folder).is_relative_to(self.kind.place.plain.parent)
            if self.recording is None and not within:
                return pd.DataFrame()
            raise BadRecordingError(f"the activities of recording '{recording}' are not known: see {self.where}.")
        names, people = self.table["recording"], self.table["subject"]
        is_said = (names != "") | (people != "") | (self.recording is not None)
        suits = np.isin(names, ["", recording]) & np.isin(people, ["", subject])
        return self.table[suits & (is_said | (folder == self.kind.place.plain.parent.as_posix()))]


def read_intervals(kind: Kind, labels: Labels, reading: Reading) -> IntervalTable:
    """Read a file of intervals.

    Raises:
        BadRecordingError: if a column is missing, a time is none, an activity is not known, an interval ends before it
            starts, or two overlap.
    """
    where = kind.place.where
    with _cures_of_intervals():
        table = open_table(kind.place, kind.layout)
        columns = _columns(kind, table, reading)
        texts = [columns[role] for role in ("activity", "recording", "subject") if role in columns]
        start, names, are_local = _times_and_texts(kind, columns["start"], texts)
        end = np.full(len(start), np.nan)
        if "end" in columns:
            end = _times_and_texts(kind, columns["end"], [])[0]
        elif "duration" in columns:
            end = start + _durations(kind, columns["duration"])
    activity, lines = names[columns["activity"]], table.lines_of_rows(len(start))
    who = {
        role: names[columns[role]] if role in columns else [kind.values.get(role, "")] * len(start)
        for role in ("recording", "subject")
    }
    found = pd.DataFrame(
        {
            **{role: _spelled(role, of, lines, where, reading) for role, of in who.items()},
            "start": start,
            "end": end,
            "code": [labels.of(name, f"{where}, row {line}") for name, line in zip(activity, lines, strict=True)],
            "line": lines,
        }
    )
    if found["start"].isna().any():
        row = found[found["start"].isna()].iloc[0]
        raise BadRecordingError(f"{where}, row {row['line']}: no start. Fill it in, or remove the row.")
    has_dates = kind.layout.timestamp.format is None or has_date(kind.layout.timestamp.format)
    if not has_dates and (midnights := found.groupby(["recording", "subject"])["start"].diff() < -_HALF_A_DAY).any():
        raise BadRecordingError(
            f"{where}, row {found['line'][midnights].iloc[0]}: begins earlier in the day than the row before. "
            "Write times with their dates."
        )
    found = found.sort_values(["recording", "subject", "start"], kind="stable", ignore_index=True)
    following = found.groupby(["recording", "subject"])["start"].shift(-1, fill_value=np.inf)
    if (early := found["end"] < found["start"]).any():
        cure = "Correct it." if has_dates else "If it goes on past midnight, write times with their dates."
        raise BadRecordingError(f"{where}, row {found['line'][early].iloc[0]}: ends before it starts. {cure}")
    if (overlaps := found["end"] > following).any():
        raise BadRecordingError(
            f"{where}, row {found['line'][overlaps].iloc[0]}: overlaps with the next interval. Correct either."
        )
    return IntervalTable(kind, found.assign(end=found["end"].fillna(following)), are_local=are_local)


def _spelled(role: str, names: Iterable[str], lines: Sequence[int], where: str, reading: Reading) -> list[str]:
    """Return names of recordings or subjects in one spelling; empty ones, which are of all, stay so."""
    one_spelling = []
    for name, line in zip(names, lines, strict=True):
        try:
            one_spelling.append(spelled(role, name, reading) if name else "")
        except ValueError as error:
            raise BadRecordingError(f"{where}, row {line}: '{role}' {error}.") from error
    return one_spelling


@contextmanager
def _cures_of_intervals() -> Iterator[None]:
    """Say in messages that what they propose stands under ``intervals``."""
    try:
        yield
    except BadRecordingError as error:
        raise BadRecordingError(str(error).replace(f"' in {DESCRIPTION_FILE}", f"' {UNDER}")) from error


def _columns(kind: Kind, table: Table, reading: Reading) -> dict[str, str]:
    """Return the columns of a file of intervals by their roles.

    Raises:
        BadRecordingError: if one is missing, or one that looks like a needed one is not declared.
    """
    refuse_other = partial(_refuse_undeclared, table, reading)
    columns = {role: kind.column(role) for role in ("start", "end", "duration", "activity", "recording", "subject")}
    missing = [
        column
        for role, column in columns.items()
        if column not in table.names and (role in ("start", "activity") or role in kind.layout.columns)
    ]
    if missing:
        refuse_other_form(table, missing)
        raise BadRecordingError(
            f"{table.place.where}: no column {', '.join(map(repr, missing))}; found "
            f"{', '.join(map(repr, table.names))}. Write 'columns: {{start: ..., end: ..., activity: ...}}' {UNDER}."
        )
    has = {role: column for role, column in columns.items() if column in table.names}
    if has["start"] == has.get("end"):
        raise BadRecordingError(
            f"{table.place.where}: '{has['start']}' is both start and end of intervals. Correct 'columns' {UNDER}."
        )
    others = [name for name in table.names if name and name not in has.values()]
    if not {"end", "duration"} & set(has):
        refuse_other("end", [name for name in others if plain(_UNIT.sub("", name)) in ENDS])
        refuse_other("duration", [name for name in others if plain(_UNIT.sub("", name)) in DURATIONS])
    for name, cells in cells_of(others, table).items():
        if cells and {cell.casefold() for cell in cells} <= {*BEGINS, *ENDS}:
            raise BadRecordingError(
                f"{table.place.where}: column '{name}' says in rows of their own when intervals start and end. Write "
                "one row for each interval, with its start and its end."
            )
    for role in ("recording", "subject"):
        if role not in has and role not in kind.values:
            refuse_other(role, looks_like(others, role))
    return has


def _refuse_undeclared(table: Table, reading: Reading, role: str, names: Sequence[str]) -> None:
    if names := [name for name in names if name not in reading.ignored]:
        raise BadRecordingError(
            f"{table.place.where}: '{names[0]}' looks like the {role} of intervals, but {DESCRIPTION_FILE} does not "
            f"say so. Write '{role}: {quoted(names[0])}' in 'columns' under 'intervals', or rename the column."
        )


def _durations(kind: Kind, column: str) -> NDArray[np.float64]:
    """Return the durations of intervals in seconds, which are numbers in the unit of their name, or of their times."""
    blocks = open_table(kind.place, kind.layout).blocks([column], [], None)
    named = _UNIT.search(column)
    scale = TIME_UNITS[named["inside"] or named["last"]] if named else kind.layout.timestamp.scale
    return np.asarray(scale * np.concatenate([np.empty(0), *(block.numbers[:, 0] for block in blocks)]))


def _times_and_texts(
    kind: Kind, stamp: str, texts: Sequence[str]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.object_]], bool]:
    how = kind.layout.timestamp.model_copy(update={"column": stamp})
    table = open_table(kind.place, kind.layout)
    blocks = list(table.blocks([], texts, how))
    for block in blocks:
        if block.are_local and how.timezone is not None and block.seconds is not None:
            refuse_shown_twice(block.seconds, how.timezone, table, block.first)
    seconds = [block.seconds for block in blocks if block.seconds is not None]
    names = {text: np.array([name for block in blocks for name in block.texts[text]], dtype=object) for text in texts}
    return (np.concatenate(seconds) if seconds else np.empty(0)), names, any(block.are_local for block in blocks)


def intervals_of(
    recording: str, subject: str, folder: str, seconds: NDArray[np.float64], tables: Sequence[IntervalTable]
) -> tuple[NDArray[np.int16], Counter[str]]:
    """Return the code of each sample of a recording, and what is worth a word.

    Args:
        recording: Name of the recording.
        subject: Its subject.
        folder: Folder of its file.
        seconds: Time of each sample (time,).
        tables: All intervals.

    Raises:
        BadRecordingError: if intervals of two files overlap, a file cannot be used, or its times are of another unit or
            clock.
    """
    codes = np.full(len(seconds), UNLABELLED, np.int16)
    taken = np.zeros(len(seconds), bool)
    counts: Counter[str] = Counter()
    found = False
    for one in tables:
        chosen = one.of(recording, subject, folder)
        if chosen.empty:
            continue
        clock = seconds - np.nanmin(seconds) if one.is_relative else seconds
        if one.only == recording or (chosen[["recording", "subject"]] != "").any(axis=None):
            refuse_other_clock(one.where, Clock(one.kind.layout, one.are_local), chosen, clock, recording)
        own = np.zeros(len(seconds), bool)
        for start, end, code, line in chosen[["start", "end", "code", "line"]].itertuples(index=False):
            inside = (clock >= start) & (clock < end)
            if (inside & (taken | own)).any():
                raise BadRecordingError(
                    f"{one.where}, row {line}: overlaps with another interval for '{recording}'"
                    f"{' in another file' if (inside & taken).any() else ''}. Correct either."
                )
            codes[inside], found = code, True
            own |= inside
            counts["intervals without a sample"] += not inside.any()
        taken |= own
    if not found:
        counts["samples of a recording without intervals"] = len(seconds)
    return codes, counts
