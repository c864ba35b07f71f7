"""MotionSense (Malekzadeh et al. 2019): a phone in the front pocket, from the official A_DeviceMotion_data files.

The channels of the description select the quantities: ``total_acc`` is the sum of gravity and user acceleration,
which is what the accelerometers of other data sets measure; ``user_acc``, ``gravity``, ``gyro`` and ``attitude``
are columns of the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import read_csv

# Official short names, with which the names of the folders begin.
_ACTIVITIES = {
    "dws": "walking downstairs",
    "ups": "walking upstairs",
    "wlk": "walking",
    "jog": "jogging",
    "sit": "sitting",
    "std": "standing",
}
_SUMMANDS = {
    "total_acc": ("gravity", "userAcceleration"),
    "user_acc": ("userAcceleration",),
    "gravity": ("gravity",),
    "gyro": ("rotationRate",),
    "attitude": ("attitude",),
}


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files; each holds one trial of one subject."""
    # The other folders of the repository have files of the same names.
    pattern = rf"(?:.*A_DeviceMotion_data/)?({'|'.join(_ACTIVITIES)})_(\d+)/sub_(\d+)\.csv"
    for member in find_members(folder, pattern, description):
        activity, trial, subject = member.parts
        name = f"{activity}_{trial}, subject {subject}"
        yield Candidate(name, member.where, partial(_load, member, name, description))


def _load(member: Member, name: str, description: DatasetDescription) -> Recording:
    frame = read_csv(member, index_col=0)
    samples = np.stack([_channel(frame, channel, member.where) for channel in description.channel_names], axis=1)
    activity, _, subject = member.parts
    codes = {title: code for code, title in description.activities.items()}
    return Recording(
        subject=subject,
        name=name,
        sample=np.arange(len(samples)),
        activity=np.full(len(samples), codes[_ACTIVITIES[activity]], np.int16),
        samples=samples.astype(np.float32),
    )


def _channel(frame: pd.DataFrame, channel: str, where: str) -> NDArray[np.float64]:
    quantity, _, axis = channel.rpartition("_")
    if quantity not in _SUMMANDS:
        raise BadRecordingError(
            f"{where}: no channel '{channel}'; known are {', '.join(_SUMMANDS)}, each with _x, _y, _z (attitude: "
            "_roll, _pitch, _yaw). Correct the description's channels."
        )
    total = np.zeros(len(frame))
    for summand in _SUMMANDS[quantity]:
        column = f"{summand}.{axis}"
        if column not in frame.columns:
            raise BadRecordingError(f"{where}: no column '{column}'. The file is incomplete; download it again.")
        numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        if (bad := np.isnan(numbers)).any():
            row = int(np.flatnonzero(bad)[0])
            raise BadRecordingError(
                f"{where}, row {row + 2}: '{frame[column].iloc[row]}' in column '{column}' is not a number. "
                "Correct the row or download the file again."
            )
        total += numbers
    return total
