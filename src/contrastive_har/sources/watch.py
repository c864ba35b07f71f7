"""Seven shoulder exercises recorded with a smartwatch, from the data file inside the PyPI package ``seglearn``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive_har.files.packages import PackagedFileError, locate
from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.columns import require_numbers, whole_numbers
from contrastive_har.sources.unpickling import InertUnpickler

PACKAGE = "seglearn"


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the data file in the installed package."""
    yield partial(_in_package, description)


def _in_package(description: DatasetDescription) -> Iterator[Candidate]:
    """Find its recordings; each holds one exercise of one subject and side."""
    path = locate(PACKAGE, "data/watch_dataset.npy")
    try:
        content = _read_object_array(path)
        exercises, subjects = whole_numbers(content["y"]).tolist(), whole_numbers(content["subject"]).tolist()
        recordings = [
            (require_numbers(samples).astype(np.float64), exercise, description.activities[exercise], subject, side)
            for samples, exercise, subject, side in zip(content["X"], exercises, subjects, content["side"], strict=True)
        ]
    except Exception as error:
        raise PackagedFileError(f"{path}: cannot be read ({explain(error)}). Reinstall {PACKAGE}.") from error
    for number, (samples, exercise, activity, subject, side) in enumerate(recordings):
        name = f"{activity}, subject {subject}, {'right' if side else 'left'}, {number:03d}"
        load = partial(_load, samples, exercise, str(subject), name)
        yield Candidate(name, f"{path}, recording {number}", load)


def _load(samples: NDArray[np.float64], exercise: int, subject: str, name: str) -> Recording:
    return Recording(
        subject=subject,
        name=name,
        sample=np.arange(len(samples)),
        activity=np.full(len(samples), exercise, np.int16),
        samples=np.ascontiguousarray(samples, np.float32),
    )


def _read_object_array(path: Path) -> dict[str, Any]:
    """Read the one dictionary inside a numpy file of objects, refusing everything but arrays and containers."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"numpy file version {version} is not supported")
        np.lib.format.read_array_header_1_0(file)
        content = InertUnpickler(file).load()
    dictionary: dict[str, Any] = content.item()
    return dictionary
