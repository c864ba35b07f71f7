"""mHealth (Banos et al. 2014): sensors on chest, left ankle and right arm, from the official .log files.

The electrocardiogram, two of the 24 columns, is left out. The files have no times: their rows are the clock.
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

_COLUMNS = 24
_ELECTROCARDIOGRAM = (3, 4)
_NO_ACTIVITY = 0


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds the session of one subject."""
    for member in find_members(folder, r"(?:.*/)?mHealth_subject(\d+)\.log", description):
        name = f"subject {member.parts[0]}"
        yield Candidate(name, member.where, partial(_load, member, name, description))


def _load(member: Member, name: str, description: DatasetDescription) -> Recording:
    numbers = read_numbers(member, _COLUMNS)
    recording = Recording(
        subject=member.parts[0],
        name=name,
        sample=np.arange(len(numbers)),
        activity=activity_codes(numbers[:, -1], description.activities, member.where, unlabelled=_NO_ACTIVITY),
        samples=np.delete(numbers[:, :-1], _ELECTROCARDIOGRAM, axis=1).astype(np.float32),
    )
    return mend(recording, np.arange(len(numbers)) / description.sampling_rate_hz, description.sampling_rate_hz)
