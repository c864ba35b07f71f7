"""USC-HAD (Zhang and Sawchuk 2012): a motion sensor on the right hip, from the official .mat files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.matlab import read_array

SAMPLES = "sensor_readings"


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds one trial of one activity of one subject."""
    for member in find_members(folder, r"(?:.*/)?Subject(\d+)/a(\d+)t(\d+)\.mat", description):
        subject, activity, trial = member.parts
        name = f"subject {subject}, activity {activity}, trial {trial}"
        yield Candidate(name, member.where, partial(_load, member, name))


def _load(member: Member, name: str) -> Recording:
    """Read a file; subject and activity come from its name, since the keys inside are misspelt in some."""
    samples = read_array(member, SAMPLES, (None, None))
    subject, activity, _ = member.parts
    return Recording(
        subject=subject,
        name=name,
        sample=np.arange(len(samples)),
        activity=np.full(len(samples), int(activity), np.int16),
        samples=np.ascontiguousarray(samples, np.float32),
    )
