"""Activities of samples: from a column, from the name of the file, or from files of intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.roles import Kind
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading

LEFT_OUT = -2
"""Code of samples that are not used."""

_WHOLE = re.compile(r"(-?\d+)\.0+")


class Labels:
    """Codes of activities by the names that files have for them.

    Args:
        description: Activities by code.
        reading: Further names.

    Raises:
        ValueError: if a name of an activity is the code of another, or a synonym is of no activity.
    """

    def __init__(self, description: DatasetDescription, reading: Reading) -> None:
        self.codes = {name: code for code, name in description.activities.items()}
        for name, code in self.codes.items():
            if name.lstrip("-").isdigit() and int(name) != code and int(name) in description.activities:
                other = description.activities[int(name)]
                raise ValueError(
                    f"activity '{name}' has the code {code}, but {name} is the code of '{other}': a label {name} "
                    "could be "
                    "either. Give each activity the number that the files have as its code, and a name in words"
                )
        for code in (UNLABELLED, *description.activities):
            # Programs write whole numbers as 1.0 if other cells of the column are empty.
            self.codes |= {f"{code}": code, f"{code}.0": code}
        for name, activity in reading.synonyms.items():
            if activity not in self.codes:
                raise ValueError(f"synonyms: '{name}' is said to be '{activity}', which 'activities' does not name")
            self.codes[name] = self.codes[activity]
        self.codes |= {"": UNLABELLED, **dict.fromkeys(reading.unlabelled, UNLABELLED)}
        self.codes |= dict.fromkeys(reading.left_out, LEFT_OUT)
        self._known = ", ".join(description.activities.values())

    def of(self, name: str, where: str) -> int:
        """Return the code of a name.

        Raises:
            BadRecordingError: if it is not known.
        """
        if name in self.codes:
            return self.codes[name]
        alike = [known for known in self.codes if known.casefold() == name.casefold()]
        cure = f"synonyms: {{{name}: {alike[0]}}}" if alike else f"unlabelled: [{name}]"
        raise BadRecordingError(
            f"{where}: unknown activity '{name[:100]}'. Known: {self._known}. Correct the row, add it to "
            "'activities', or "
            f"write '{cure}' in {DESCRIPTION_FILE}."
        )


def spelled(role: str, name: str, reading: Reading) -> str:
    """Return the name of a subject, a recording or a group in one spelling.

    Raises:
        ValueError: if it is empty or cannot be printed.
    """
    if not name:
        raise ValueError("is empty. Fill it in, or remove the row")
    if not name.isprintable():
        raise ValueError(f"has characters that cannot be printed: {name!r}. Correct the name")
    match = _WHOLE.fullmatch(name) if role != "recording" else None
    name = match[1] if match else name  # programs write 1.0 for 1 beside empty cells
    return reading.subjects.get(name, name) if role == "subject" else name


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


def read_intervals(kind: Kind, labels: Labels) -> IntervalTable:
    """Read a file of intervals.

    Raises:
        BadRecordingError: if a column is missing, a time is none, an activity is not known, an interval ends before it
            starts, or two overlap.
    """
    table = open_table(kind.place, kind.layout)
    where = kind.place.where
    columns = {role: kind.column(role) for role in ("start", "end", "activity", "recording")}
    has = {role: column in table.names for role, column in columns.items()}
    if missing := [columns[role] for role in ("start", "activity") if not has[role]]:
        raise BadRecordingError(
            f"{where}: no column {', '.join(map(repr, missing))}; found {', '.join(map(repr, table.names))}. Write "
            f"'columns: {{start: ..., end: ..., activity: ...}}' under 'intervals' in {DESCRIPTION_FILE}."
        )
    texts = [columns[role] for role in ("activity", "recording") if has[role]]
    start, names = _times_and_texts(kind, columns["start"], texts)
    end = _times_and_texts(kind, columns["end"], [])[0] if has["end"] else np.full(len(start), np.nan)
    activity = names[columns["activity"]]
    found = pd.DataFrame(
        {
            "recording": names[columns["recording"]] if has["recording"] else "",
            "start": start,
            "end": end,
            "code": [labels.of(name, f"{where}, row {table.line(row)}") for row, name in enumerate(activity)],
            "line": [table.line(row) for row in range(len(start))],
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
    seconds = [block.seconds for block in blocks if block.seconds is not None]
    names = {text: np.array([name for block in blocks for name in block.texts[text]], dtype=object) for text in texts}
    return (np.concatenate(seconds) if seconds else np.empty(0)), names


def intervals_of(
    recording: str, folder: str, seconds: NDArray[np.float64], tables: Sequence[IntervalTable]
) -> tuple[NDArray[np.int16], int]:
    """Return the code of each sample of a recording, and how many intervals hold none of its samples.

    Args:
        recording: Name of the recording.
        folder: Folder of its file.
        seconds: Time of each sample (time,).
        tables: All intervals. Those of a file hold for the recordings that it names, else for those in its folder.
    """
    codes = np.full(len(seconds), UNLABELLED, np.int16)
    empty = 0
    for one in tables:
        named = one.table["recording"] != ""
        if one.recording is not None:
            chosen = pd.Series(one.recording == recording, one.table.index)
        else:
            chosen = (named & (one.table["recording"] == recording)) | (~named & (one.folder == folder))
        for start, end, code in one.table.loc[chosen, ["start", "end", "code"]].itertuples(index=False):
            inside = (seconds >= start) & (seconds < end)
            codes[inside] = code
            empty += not inside.any()
    return codes, empty
