"""PAMAP2 (Reiss and Stricker 2012): inertial units on hand, chest and ankle, from the official .dat files.

Of their 54 columns these are the time in seconds, the activity, and of each unit the accelerometer of 16 g, the
gyroscope and the magnetometer. The files of the folder ``Optional`` hold other activities of some subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import activity_codes, read_numbers
from contrastive_har.sources.mending import mend

_COLUMNS = 54
_UNITS = (3, 20, 37)  # the first column of each, its temperature
_OF_A_UNIT = (1, 2, 3, 7, 8, 9, 10, 11, 12)  # without the accelerometer of 6 g and the orientation
_TRANSIENT = 0


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds one session of one subject."""
    for member in find_members(folder, r"(?:.*/)?(Protocol|Optional)/subject(\d+)\.dat", description):
        session, subject = member.parts
        name = f"subject {subject}, {session.lower()}"
        yield Candidate(name, member.where, partial(_load, member, name, description))


def _load(member: Member, name: str, description: DatasetDescription) -> Recording:
    channels = [first + index for first in _UNITS for index in _OF_A_UNIT]
    numbers = read_numbers(member, _COLUMNS, [0, 1, *channels])
    recording = Recording(
        subject=member.parts[1],
        name=name,
        sample=np.arange(len(numbers)),
        activity=activity_codes(numbers[:, 1], description.activities, member.where, unlabelled=_TRANSIENT),
        samples=numbers[:, 2:].astype(np.float32),
    )
    return mend(recording, numbers[:, 0], description.sampling_rate_hz)
