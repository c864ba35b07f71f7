"""What every public source keeps, on small files in its official layout.

A new source needs one entry in its table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.engines import EngineSettings
from contrastive_har.signals.recordings import (
    BadRecordingError,
    Recording,
    Recordings,
    read_recordings,
    write_recordings,
)
from contrastive_har.sources import IngestionSettings, describe_source, open_source
from tests.sources.test_mmact import mmact
from tests.sources.test_official_files import motion_sense, usc_had
from tests.sources.test_stamped_files import har70plus, harth, mhealth, opportunity, pamap2
from tests.sources.test_uci_har_official import uci_har_official
from tests.sources.test_utd_mhad import utd_mhad
from tests.sources.test_wisdm import wisdm

EXAMPLES: dict[str, Callable[[Path], object]] = {
    "motion_sense": motion_sense,
    "usc_had": usc_had,
    "utd_mhad": utd_mhad,
    "uci_har_official": uci_har_official,
    "opportunity": opportunity,
    "pamap2": pamap2,
    "wisdm_watch": wisdm("watch"),
    "wisdm_phone": wisdm("phone"),
    "harth": harth,
    "har70plus": har70plus,
    "mhealth": mhealth,
    "mmact": mmact,
}


@pytest.fixture(params=EXAMPLES)
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(dataset: str, tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    EXAMPLES[dataset](folder)
    return folder


def opened(dataset: str, folder: Path, on_bad_recording: str = "fail") -> Recordings:
    settings = IngestionSettings.model_validate({"dataset": dataset, "on_bad_recording": on_bad_recording})
    return open_source(folder, settings, EngineSettings())


def test_recordings_agree_with_the_description(dataset: str, folder: Path) -> None:
    recordings = opened(dataset, folder)
    assert recordings.description == describe_source(dataset)
    found = list(recordings)
    assert len({recording.name for recording in found}) == len(found) > 1
    for recording in found:
        assert recording.samples.dtype == np.float32
        assert recording.samples.shape == (len(recording.sample), len(recordings.description.channels))
        assert set(recording.activity.tolist()) <= {UNLABELLED, *recordings.description.activities}
        assert set(recording.activity.tolist()) != {UNLABELLED}
        assert set(recording.groups) == set(recordings.description.groups)
    assert len({recording.subject for recording in found}) > 1


def test_every_pass_reads_the_same(dataset: str, folder: Path) -> None:
    recordings = opened(dataset, folder)
    for first, second in zip(recordings, recordings, strict=True):
        assert (first.name, first.subject) == (second.name, second.subject)
        np.testing.assert_array_equal(first.samples, second.samples)


def test_recordings_survive_storage(dataset: str, folder: Path, tmp_path: Path) -> None:
    recordings = opened(dataset, folder)
    write_recordings(recordings, tmp_path / "recordings.parquet")
    stored = read_recordings(tmp_path / "recordings.parquet")
    assert stored.description == recordings.description
    for before, after in zip(recordings, stored, strict=True):
        assert (before.name, before.subject, before.groups) == (after.name, after.subject, after.groups)
        assert before.mended == after.mended
        np.testing.assert_array_equal(before.samples, after.samples)
        np.testing.assert_array_equal(before.activity, after.activity)


def test_a_damaged_file_is_named_and_stops_no_other(dataset: str, folder: Path) -> None:
    before = [recording.name for recording in opened(dataset, folder)]
    damaged = sorted(path for path in folder.rglob("*") if path.is_file())[0]
    damaged.write_bytes(b"\x00damaged")
    with pytest.raises(BadRecordingError, match=damaged.name.replace(".", r"\.")):
        list(opened(dataset, folder))
    left = [item.name for item in opened(dataset, folder, "reject").stream() if isinstance(item, Recording)]
    assert len(left) == len(before) - 1
    assert set(left) < set(before)


def test_missing_files_are_refused_with_where_to_get_them(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(BadRecordingError, match=r"holds no file of .* (Download|Request .* at) http"):
        list(opened(dataset, tmp_path))
