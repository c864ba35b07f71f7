"""HARTH (Logacjov et al. 2021) and HAR70+ (Ustad et al. 2023): sensors on back and thigh, from the official .csv files.

Some files have further columns, which number the rows; they are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import activity_codes, read_csv
from contrastive_har.sources.mending import mend
from contrastive_har.sources.own.settings import Timestamp
from contrastive_har.sources.own.times import to_seconds
from contrastive_har.sources.tables import numbers

_FILES = {"harth": r"(?:.*/)?S(\d{3})\.csv", "har70plus": r"(?:.*/)?(5\d{2})\.csv"}


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds the session of one subject."""
    for member in find_members(folder, _FILES[description.name], description):
        name = f"subject {int(member.parts[0])}"
        yield Candidate(name, member.where, partial(_load, member, name, description))


def _load(member: Member, name: str, description: DatasetDescription) -> Recording:
    table = read_csv(member)
    channels = [channel.replace("_acc", "") for channel in description.channel_names]
    if missing := [column for column in ("timestamp", *channels, "label") if column not in table]:
        raise BadRecordingError(f"{member.where}: no column '{missing[0]}'. The file is incomplete; copy it again.")
    table.index = pd.RangeIndex(2, 2 + len(table))  # row numbers in the file
    where = member.where
    recording = Recording(
        subject=str(int(member.parts[0])),
        name=name,
        sample=np.arange(len(table)),
        activity=activity_codes(numbers(table["label"], "label", where), description.activities, where, first_row=2),
        samples=np.column_stack([numbers(table[channel], channel, where) for channel in channels]).astype(np.float32),
    )
    seconds = to_seconds(table["timestamp"], Timestamp(), lambda row: f"{where}, row {table.index[row]}")
    return mend(recording, seconds, description.sampling_rate_hz)
