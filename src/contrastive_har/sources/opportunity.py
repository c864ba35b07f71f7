"""Opportunity (Roggen et al. 2010): gestures in a kitchen, from the five inertial units on the back and the arms.

Of the official .dat files' 250 columns these are the first, a time in milliseconds, the accelerometer, gyroscope and
magnetometer of each unit, and the last, the gestures of both arms, whose official codes are those of the description
and 400000. Samples without a gesture are unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import read_numbers
from contrastive_har.sources.mending import mend

_COLUMNS = 250
_UNITS = (37, 50, 63, 76, 89)  # the first column of each, the back first, then the right and the left arm
_OF_A_UNIT = 9  # without the four of its quaternion
_GESTURES_OF_BOTH_ARMS = 400_000


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds one run of one subject: ADL1 to ADL5, or Drill."""
    for member in find_members(folder, r"(?:.*/)?S(\d+)-(ADL\d+|Drill)\.dat", description):
        subject, run = member.parts
        name = f"subject {subject}, {run}"
        yield Candidate(name, member.where, partial(_load, member, name, description))


def _load(member: Member, name: str, description: DatasetDescription) -> Recording:
    channels = [first + index for first in _UNITS for index in range(_OF_A_UNIT)]
    numbers = read_numbers(member, _COLUMNS, [0, *channels, _COLUMNS - 1])
    codes = numbers[:, -1] - _GESTURES_OF_BOTH_ARMS
    subject, run = member.parts
    recording = Recording(
        subject=subject,
        name=name,
        sample=np.arange(len(numbers)),
        activity=np.where(np.isin(codes, list(description.activities)), codes, UNLABELLED).astype(np.int16),
        samples=numbers[:, 1:-1].astype(np.float32),
        groups={"run": run, "session": f"S{subject}-{run}"},
    )
    return mend(recording, numbers[:, 0] / 1000, description.sampling_rate_hz)
