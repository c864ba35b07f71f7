from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_har.files.stamps import SchemaError
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.cutting import WindowSettings, cut_recording, cut_windows
from contrastive_har.signals.windows import Windows, read_windows, write_windows


@st.composite
def messy_recordings(draw: st.DrawFn) -> Recording:
    """Recordings with short runs, unlabelled stretches and gaps."""
    runs = draw(st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 40)), min_size=1, max_size=8))
    activity = np.concatenate([np.full(length, code, np.int16) for code, length in runs])
    steps = draw(st.lists(st.sampled_from([1] * 12 + [3, 50]), min_size=len(activity), max_size=len(activity)))
    sample = np.cumsum(steps) - steps[0]
    samples = np.stack([sample, np.arange(len(sample))], axis=1).astype(np.float32)
    return Recording("s", "r", sample, activity, samples)


def literal_windows(recording: Recording, length: int, stride: int, kept: list[int]) -> list[tuple[int, int]]:
    """(row, activity) of each window, found one sample after the other."""
    found = []
    begin = 0
    for row in range(1, len(recording.sample) + 1):
        ends = row == len(recording.sample) or (
            recording.activity[row] != recording.activity[begin]
            or recording.sample[row] - recording.sample[row - 1] != 1
        )
        if ends:
            start = begin
            while start + length <= row:
                if recording.activity[begin] in kept:
                    found.append((start, int(recording.activity[begin])))
                start += stride
            begin = row
    return found


@given(messy_recordings(), st.integers(1, 20), st.integers(1, 20))
def test_windows_agree_with_a_literal_search(recording: Recording, length: int, stride: int) -> None:
    batch = cut_recording(recording, length, stride, [0, 1, 2])
    expected = literal_windows(recording, length, stride, [0, 1, 2])
    assert [int(value) for value in batch.signals[:, 0, 1]] == [row for row, _ in expected]
    assert batch.activity.tolist() == [activity for _, activity in expected]
    assert batch.start.tolist() == [int(recording.sample[row]) for row, _ in expected]


@given(messy_recordings(), st.integers(2, 20), st.integers(1, 20))
def test_no_window_crosses_a_gap_or_an_activity(recording: Recording, length: int, stride: int) -> None:
    batch = cut_recording(recording, length, stride, [-1, 0, 1, 2, 3])
    for signal, activity in zip(batch.signals, batch.activity, strict=True):
        assert (np.diff(signal[:, 0]) == 1).all()
        rows = signal[:, 1].astype(int)
        assert (recording.activity[rows] == activity).all()


def test_stored_windows_are_the_cut_ones(windows: Windows, recordings: Recordings) -> None:
    cut = [cut_recording(recording, 64, 32, [0, 1, 2]) for recording in recordings]
    np.testing.assert_array_equal(windows.signals, np.concatenate([batch.signals for batch in cut]))
    assert windows.table["window"].tolist() == list(range(len(windows.signals)))
    assert windows.table["subject"].tolist() == [batch.subject for batch in cut for _ in batch.start]
    assert (windows.length, windows.stride) == (64, 32)


def test_classes_index_recognised_activities(windows: Windows) -> None:
    description = windows.description.model_copy(update={"recognised": (2, 0)})
    classes = replace(windows, description=description).classes()
    expected = {0: 1, 1: -1, 2: 0}
    assert classes.tolist() == [expected[code] for code in windows.table["activity"]]


def test_seconds_become_samples() -> None:
    assert WindowSettings(length=2.56, stride=1.28, unit="seconds").in_samples(50) == (128, 64)


@pytest.mark.parametrize("length", [2.555, 0.001])
def test_fractions_of_samples_are_refused(length: float) -> None:
    with pytest.raises(ValueError, match="whole number of samples"):
        WindowSettings(length=length, stride=1, unit="seconds").in_samples(50)


def test_unlabelled_stretches_are_kept_on_request(description: DatasetDescription) -> None:
    recording = Recording("s", "r", np.arange(100), np.full(100, -1, np.int16), np.zeros((100, 3), np.float32))
    unlabelled = Recordings(description, lambda: iter([recording]))
    kept = list(cut_windows(unlabelled, WindowSettings(length=50, stride=50, keep_unlabelled=True)).batches())
    dropped = list(cut_windows(unlabelled, WindowSettings(length=50, stride=50)).batches())
    assert [len(batch.start) for batch in kept] == [2]
    assert [len(batch.start) for batch in dropped] == [0]


def test_no_window_at_all_is_an_error(recordings: Recordings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Shorten windows\.length"):
        write_windows(cut_windows(recordings, WindowSettings(length=5000, stride=1)), tmp_path / "w.parquet")


def test_a_recording_shorter_than_a_window_gives_none() -> None:
    recording = Recording("s", "r", np.arange(5), np.zeros(5, np.int16), np.zeros((5, 3), np.float32))
    assert cut_recording(recording, 10, 5, [0]).signals.shape == (0, 10, 3)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "windows.parquet"
    path.write_bytes(b"not Parquet")
    with pytest.raises(SchemaError, match="not a readable Parquet file"):
        read_windows(path)
