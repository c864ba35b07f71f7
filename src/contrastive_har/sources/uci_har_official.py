"""UCI-HAR as distributed (Anguita et al. 2013): windows of 128 samples of nine channels, and the official split.

The windows of one subject are one recording, with a gap of one sample after each window: cut into 128 samples with any
stride, they are the windows of the files, in their order. Neighbouring windows share half of their samples in the
files, which such a recording does not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import activity_codes, read_numbers

LENGTH = 128

# Files of the channels, in the order of the description.
_SIGNALS = [f"{sensor}_{axis}" for sensor in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"]
_ACTIVITIES, _SUBJECTS = "y", "subject"
_PART = (
    rf"(?:.*/)?(train|test)/(?:Inertial Signals/)?({'|'.join([*_SIGNALS, _ACTIVITIES, _SUBJECTS])})_(?:train|test)\.txt"
)


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; those of one part, training or test, hold the windows of several subjects."""
    parts: dict[str, dict[str, Member]] = {}
    for member in find_members(folder, _PART, description):
        part, content = member.parts
        parts.setdefault(part, {})[content] = member
    for part, members in sorted(parts.items(), reverse=True):
        yield partial(_in_part, part, members, description)


def _in_part(part: str, members: Mapping[str, Member], description: DatasetDescription) -> Iterator[Candidate]:
    """Find the recordings, one per subject."""
    where = next(iter(members.values())).where
    try:
        tables = _read_tables(part, members, where)
        numbers, subject = tables[_ACTIVITIES][:, 0], tables[_SUBJECTS][:, 0]
        activity = activity_codes(numbers, description.activities, members[_ACTIVITIES].where)
    except Exception as error:  # noqa: BLE001 - raised again when the candidate is loaded
        yield Candidate.failed(part, where, error)
        return
    windows = np.stack([tables[signal] for signal in _SIGNALS], axis=2)
    for one in np.unique(subject):
        rows = np.flatnonzero(subject == one)
        name = f"{part}, subject {one:g}"
        load = partial(_load, f"{one:g}", name, part, windows[rows], activity[rows])
        yield Candidate(name, where, load, rows=np.repeat(rows + 1, LENGTH).tolist())


def _read_tables(part: str, members: Mapping[str, Member], where: str) -> dict[str, NDArray[np.float64]]:
    """Read all files of a part; each has one row per window."""
    tables: dict[str, NDArray[np.float64]] = {}
    for content in (*_SIGNALS, _ACTIVITIES, _SUBJECTS):
        if content not in members:
            raise BadRecordingError(f"{where}: no file {content}_{part}.txt beside it. Add it.")
        table = read_numbers(members[content], LENGTH if content in _SIGNALS else 1)
        before = next(iter(tables.values()), table)
        if len(table) != len(before):
            raise BadRecordingError(
                f"{members[content].where}: {len(table)} rows, but the files before it have {len(before)}. One of them "
                "is truncated; copy them again."
            )
        tables[content] = table
    return tables


def _load(subject: str, name: str, part: str, windows: NDArray[np.float64], activity: NDArray[np.int16]) -> Recording:
    count = len(windows)
    return Recording(
        subject=subject,
        name=name,
        sample=(np.arange(count)[:, None] * (LENGTH + 1) + np.arange(LENGTH)).ravel(),
        activity=np.repeat(activity, LENGTH),
        samples=windows.reshape(count * LENGTH, -1).astype(np.float32),
        groups={"official": part},
    )
