"""UTD-MHAD (Chen, Jafari and Kehtarnavaz 2015): a wearable inertial sensor and a Kinect's skeletons.

The inertial sensor gives the clock. The skeletons have no times, and the ratio of both lengths is not that of the
nominal rates: they are put on the clock by the length of the clip, the first at its first sample and the last at its
last.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.clocks import are_storable, stretch
from contrastive_har.sources.matlab import read_array

# Arrays in the files of each modality, with None for the time.
_ARRAYS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "inertial": ("d_iner", (None, 6)),
    "skeleton": ("d_skel", (20, 3, None)),
}


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; two files, one of each modality, hold one trial of one activity of one subject."""
    clips: dict[tuple[str, ...], dict[str, Member]] = {}
    for modality in _ARRAYS:
        pattern = rf"(?:.*/)?a(\d+)_s(\d+)_t(\d+)_{modality}\.mat"
        for member in find_members(folder, pattern, description, part=modality):
            clips.setdefault(member.parts, {})[modality] = member
    for clip in sorted(clips, key=lambda parts: [(len(part), part) for part in parts]):
        activity, subject, trial = clip
        name = f"activity {activity}, subject {subject}, trial {trial}"
        where = next(iter(clips[clip].values())).where
        yield Candidate(name, where, partial(_load, clips[clip], name))


def _load(members: dict[str, Member], name: str) -> Recording:
    member = next(iter(members.values()))
    activity, subject, trial = member.parts
    if missing := [modality for modality in _ARRAYS if modality not in members]:
        raise BadRecordingError(
            f"{member.where}: no {missing[0]} file of this clip. Add a{activity}_s{subject}_t{trial}_{missing[0]}.mat."
        )
    arrays = {modality: read_array(members[modality], *expected) for modality, expected in _ARRAYS.items()}
    for modality, array in arrays.items():
        if not array.size:
            raise BadRecordingError(f"{members[modality].where}: no samples. Download the file again.")
        if not are_storable(array).all():
            raise BadRecordingError(f"{members[modality].where}: values that are not finite. Download the file again.")
    inertial, skeleton = arrays.values()
    frames = skeleton.transpose(2, 0, 1).reshape(skeleton.shape[2], -1)  # (frames, joints and their coordinates)
    samples = np.hstack([inertial, stretch(frames, len(inertial))])
    return Recording(
        subject=subject,
        name=name,
        sample=np.arange(len(samples)),
        activity=np.full(len(samples), int(activity), np.int16),
        samples=samples.astype(np.float32),
    )
