"""Activities from files of intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.labels import Labels, spelled
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.roles import Kind, plain
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading, quoted
from contrastive_har.sources.own.tables import Table

BEGINS = ("start", "begin", "from", "since", "onset", "anfang", "von", "debut", "starttime", "timestart", "begintime")
ENDS = ("end", "stop", "to", "until", "finish", "ende", "bis", "fin", "endtime", "stoptime", "timeend", "timestop")


@dataclass(frozen=True)
class IntervalTable:
    """Intervals of activities.

    Attributes:
        folder: Folder of the file they were read from.
        recording: The recording that the file's name says; None if it says none.
        table: One row per interval: recording ('' if not said), start and end (seconds), code, line.
        where: The file.
    """

    folder: str
    recording: str | None
    table: pd.DataFrame
    where: str


def read_intervals(kind: Kind, labels: Labels, reading: Reading) -> IntervalTable:
    """Read a file of intervals.

    Raises:
        BadRecordingError: if a column is missing, a time is none, an activity is not known, an interval ends before it
            starts, or two overlap.
    """
    table = open_table(kind.place, kind.layout)
    where = kind.place.where
    columns = {role: kind.column(role) for role in ("start", "end", "activity", "recording")}
    has = {role: column in table.names for role, column in columns.items()}
    missing = [columns[role] for role in ("start", "activity") if not has[role]]
    if missing := missing or [
        columns[role] for role in ("end", "recording") if role in kind.layout.columns and not has[role]
    ]:
        raise BadRecordingError(
            f"{where}: no column {', '.join(map(repr, missing))}; found {', '.join(map(repr, table.names))}. Write "
            f"'columns: {{start: ..., end: ..., activity: ...}}' under 'intervals' in {DESCRIPTION_FILE}."
        )
    ends = [name for name in table.names if plain(name) in ENDS and name not in columns.values()]
    if ends and not has["end"]:
        raise BadRecordingError(
            f"{where}: '{ends[0]}' looks like the end of intervals, but {DESCRIPTION_FILE} does not say so. Write "
            f"'end: {quoted(ends[0])}' in 'columns' under 'intervals', or rename the column."
        )
    texts = [columns[role] for role in ("activity", "recording") if has[role]]
    start, names = _times_and_texts(kind, columns["start"], texts)
    end = _times_and_texts(kind, columns["end"], [])[0] if has["end"] else np.full(len(start), np.nan)
    activity, lines = names[columns["activity"]], table.lines_of_rows(len(start))
    of = names[columns["recording"]] if has["recording"] else [""] * len(start)
    found = pd.DataFrame(
        {
            "recording": [spelled("recording", name, reading) if name else "" for name in of],
            "start": start,
            "end": end,
            "code": [labels.of(name, f"{where}, row {line}") for name, line in zip(activity, lines, strict=True)],
            "line": lines,
        }
    )
    if found["start"].isna().any():
        row = found[found["start"].isna()].iloc[0]
        raise BadRecordingError(f"{where}, row {row['line']}: no start. Fill it in, or remove the row.")
    found = found.sort_values(["recording", "start"], kind="stable", ignore_index=True)
    following = found.groupby("recording")["start"].shift(-1, fill_value=np.inf)
    if (early := found["end"] < found["start"]).any():
        raise BadRecordingError(f"{where}, row {found['line'][early].iloc[0]}: ends before it starts. Correct it.")
    if (overlaps := found["end"] > following).any():
        raise BadRecordingError(
            f"{where}, row {found['line'][overlaps].iloc[0]}: overlaps with the next interval. Correct either."
        )
    folder = kind.place.plain.parent.as_posix()
    return IntervalTable(folder, kind.fields.get("recording"), found.assign(end=found["end"].fillna(following)), where)


def _times_and_texts(
    kind: Kind, stamp: str, texts: Sequence[str]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.object_]]]:
    how = kind.layout.timestamp.model_copy(update={"column": stamp})
    blocks = list(open_table(kind.place, kind.layout).blocks([], texts, how))
    table = open_table(kind.place, kind.layout)
    for block in blocks:
        if block.are_local and how.timezone is not None and block.seconds is not None:
            _refuse_shown_twice(block.seconds, how.timezone, table, block.first)
    seconds = [block.seconds for block in blocks if block.seconds is not None]
    names = {text: np.array([name for block in blocks for name in block.texts[text]], dtype=object) for text in texts}
    return (np.concatenate(seconds) if seconds else np.empty(0)), names


def _refuse_shown_twice(seconds: NDArray[np.float64], zone: str, table: Table, first: int) -> None:
    """Refuse local times of an hour that the clock shows twice: nobody knows which of the two is meant."""
    local = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True)).tz_convert(zone).tz_localize(None)
    told = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if not (twice := told.isna() & ~local.isna()).any():
        return
    row = int(np.flatnonzero(twice)[0])
    earlier = local[row].tz_localize(zone, ambiguous=True).isoformat()
    raise BadRecordingError(
        f"{table.place.where}, row {table.line(first + row)}: the clock of {zone} shows {local[row]} twice. Write "
        f"times with their offsets, such as {earlier}."
    )


def intervals_of(
    recording: str, folder: str, seconds: NDArray[np.float64], tables: Sequence[IntervalTable]
) -> tuple[NDArray[np.int16], Counter[str]]:
    """Return the code of each sample of a recording, and what is worth a word.

    Args:
        recording: Name of the recording.
        folder: Folder of its file.
        seconds: Time of each sample (time,).
        tables: All intervals. Those of a file hold for the recordings that it names, else for those in its folder.

    Raises:
        BadRecordingError: if intervals of two files overlap.
    """
    codes = np.full(len(seconds), UNLABELLED, np.int16)
    taken = np.zeros(len(seconds), bool)
    counts: Counter[str] = Counter()
    found = False
    for one in tables:
        named = one.table["recording"] != ""
        if one.recording is not None:
            chosen = pd.Series(one.recording == recording, one.table.index)
        else:
            chosen = (named & (one.table["recording"] == recording)) | (~named & (one.folder == folder))
        own = np.zeros(len(seconds), bool)
        for start, end, code, line in one.table.loc[chosen, ["start", "end", "code", "line"]].itertuples(index=False):
            inside = (seconds >= start) & (seconds < end)
            if (inside & taken).any():
                raise BadRecordingError(
                    f"{one.where}, row {line}: overlaps with an interval of another file for '{recording}'. "
                    "Correct either."
                )
            codes[inside], found = code, True
            own |= inside
            counts["intervals without a sample"] += not inside.any()
        taken |= own
    if not found:
        counts["samples of a recording without intervals"] = len(seconds)
    return codes, counts
