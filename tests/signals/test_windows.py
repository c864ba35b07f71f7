from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample

from contrastive_har.files.stamps import SchemaError
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.cutting import WindowSettings, cut_clips, cut_recording, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.leakage import count_leakage
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.sensors import Channel, Layout
from contrastive_har.signals.splits import SplitSettings
from contrastive_har.signals.windows import WindowBatch, Windows, WindowStream, read_windows, write_windows


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
    assert batch.end.tolist() == [int(recording.sample[row]) + length for row, _ in expected]


def literal_centres(recording: Recording, length: int, kept: list[int]) -> list[tuple[int, int, int]]:
    """(row, activity, run's row) of the window around each run that is shorter than it, one run after the other."""
    found = []
    for begin, end in literal_clips(recording, kept, shortest=1):
        first, last = begin, end
        while first > 0 and recording.sample[first] - recording.sample[first - 1] == 1:
            first -= 1
        while last < len(recording.sample) and recording.sample[last] - recording.sample[last - 1] == 1:
            last += 1
        if end - begin >= length or last - first < length:
            continue
        row, before, after = begin, 0, 0
        while before + (end - begin) + after < length:
            before, after = (before + 1, after) if before <= after else (before, after + 1)
        row = begin - before
        while row < first:
            row += 1
        while row + length > last:
            row -= 1
        found.append((row, int(recording.activity[begin]), begin))
    return found


@given(messy_recordings(), st.integers(1, 30), st.integers(1, 20))
def test_short_runs_have_a_window_around_them(recording: Recording, length: int, stride: int) -> None:
    batch = cut_recording(recording, length, stride, [0, 1, 2], centre_short_runs=True)
    whole = [(row, activity, row) for row, activity in literal_windows(recording, length, stride, [0, 1, 2])]
    expected = sorted(whole + literal_centres(recording, length, [0, 1, 2]), key=lambda one: (one[2], one[0]))
    assert [int(value) for value in batch.signals[:, 0, 1]] == [row for row, _, _ in expected]
    assert batch.activity.tolist() == [activity for _, activity, _ in expected]
    assert (batch.end - batch.start).tolist() == [length] * len(expected)
    for signal in batch.signals:
        assert (np.diff(signal[:, 0]) == 1).all(), "without a gap inside"


def test_the_window_of_a_short_run_covers_its_neighbours_up_to_a_gap(description: DatasetDescription) -> None:
    activity = np.repeat(np.array([0, 1, -1, 2, 0, 1], np.int16), [10, 4, 10, 3, 6, 2])
    sample = np.arange(35) + 100 * (np.arange(35) >= 24)
    recording = Recording("s", "r", sample, activity, np.arange(105, dtype=np.float32).reshape(35, 3))
    single = Recordings(description, lambda: iter([recording]))
    (batch,) = cut_windows(single, WindowSettings(length=8, stride=8, short_runs="centre")).batches()
    rows = (batch.signals[:, 0, 0] / 3).astype(int).tolist()
    # At the gap and at the end the window of a run of 3 and of 2 samples is shifted.
    assert list(zip(rows, batch.activity.tolist(), strict=True)) == [(0, 0), (8, 1), (24, 2), (26, 0), (27, 1)]
    assert batch.start.tolist() == [0, 8, 124, 126, 127]
    assert len(cut_recording(recording, 12, 8, [2], centre_short_runs=True).start) == 0, "11 samples after the gap"
    (batch,) = cut_windows(single, WindowSettings(length=8, stride=8)).batches()
    assert batch.start.tolist() == [0]


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
    assert windows.table["start"].tolist() == [start for batch in cut for start in batch.start]
    assert windows.table["end"].tolist() == [start + 64 for batch in cut for start in batch.start]
    assert (windows.length, windows.stride) == (64, 32)
    assert windows.layout == windows.description.layout(64)
    assert (windows.layout.length, windows.layout.width, windows.class_count) == (64, 3, 3)


def test_classes_index_recognised_activities(windows: Windows) -> None:
    description = windows.description.model_copy(update={"recognised": (2, 0)})
    classes = replace(windows, description=description).classes()
    expected = {0: 1, 1: -1, 2: 0}
    assert classes.tolist() == [expected[code] for code in windows.table["activity"]]


@pytest.mark.parametrize(
    ("activities", "recognised"),
    [(None, (0, 1)), ("all", (0, 1, 2)), (("run", "rest"), (2, 0)), (["walk", "rest"], (1, 0))],
)
@pytest.mark.parametrize("how", [{"length": 64, "stride": 32}, {"cut": "clips", "length": 20}])
def test_other_activities_than_described_are_recognised(
    recordings: Recordings, tmp_path: Path, how: dict[str, object], activities: object, recognised: tuple[int, ...]
) -> None:
    described = recordings.description.model_copy(update={"recognised": (0, 1)})
    settings = WindowSettings.model_validate({**how, "activities": activities})
    assert WindowSettings.model_validate_json(settings.model_dump_json()) == settings
    stream = cut_windows(Recordings(described, recordings.stream), settings)
    write_windows(stream, tmp_path / "windows.parquet")
    found = read_windows(tmp_path / "windows.parquet")
    assert found.description == described.model_copy(update={"recognised": recognised})
    assert set(found.table["activity"]) == set(recognised)
    codes = found.table["activity"].to_numpy()
    assert [recognised[index] for index in found.classes()] == codes.tolist()


@pytest.mark.parametrize(
    ("activities", "message"),
    [
        (
            ("walk", "jump"),
            r"windows\.activities does not suit 'synthetic': unknown activities \['jump'\]; known are rest,",
        ),
        (("walk", "run", "walk"), r"windows\.activities .*: an activity is named twice: walk, run, walk"),
    ],
)
def test_activities_that_there_are_not_are_refused_before_anything_is_cut(
    recordings: Recordings, activities: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cut_windows(recordings, WindowSettings(length=64, stride=32, activities=activities))


def literal_clips(recording: Recording, kept: list[int], shortest: int = 2) -> list[tuple[int, int]]:
    """(first row, row after the last) of each uninterrupted run of one activity with ``shortest`` samples or more."""
    runs = []
    begin = 0
    for row in range(1, len(recording.sample) + 1):
        if row == len(recording.sample) or (
            recording.activity[row] != recording.activity[begin]
            or recording.sample[row] - recording.sample[row - 1] != 1
        ):
            if recording.activity[begin] in kept and row - begin >= shortest:
                runs.append((begin, row))
            begin = row
    return runs


@given(messy_recordings(), st.integers(1, 50), st.sampled_from([[0, 1, 2], [-1, 0, 1, 2, 3]]))
@settings(deadline=None)
def test_clips_are_the_runs_of_one_activity_resampled(recording: Recording, length: int, kept: list[int]) -> None:
    batch = cut_clips(recording, length, kept)
    expected = literal_clips(recording, kept)
    assert batch.signals.shape == (len(expected), length, 2)
    assert batch.signals.dtype == np.float32
    for clip, (begin, end) in zip(batch.signals, expected, strict=True):
        resampled = resample(recording.samples[begin:end], length, axis=0)
        np.testing.assert_array_equal(clip, resampled.astype(np.float32))
    assert batch.start.tolist() == [int(recording.sample[begin]) for begin, _ in expected]
    assert batch.end.tolist() == [int(recording.sample[end - 1]) + 1 for _, end in expected]
    assert (batch.end - batch.start).tolist() == [end - begin for begin, end in expected], "without a gap inside"
    assert batch.activity.tolist() == [int(recording.activity[begin]) for begin, _ in expected]


def test_a_clip_as_long_as_its_window_is_left_as_it_is(recordings: Recordings) -> None:
    recording = next(iter(recordings))
    batch = cut_clips(recording, 400, [0, 1, 2])
    assert batch.signals.shape == (3, 400, 3)
    np.testing.assert_allclose(batch.signals.reshape(-1, 3), recording.samples, atol=1e-5)


@pytest.fixture(scope="module")
def uneven(description: DatasetDescription) -> Recordings:
    """Two recordings whose activities last between one sample and 90; the second has a gap inside one of them."""
    rng = np.random.default_rng(0)
    made = []
    for subject, runs in {"1": [(0, 50), (1, 1), (2, 33), (-1, 20), (0, 7)], "2": [(1, 90), (2, 12), (0, 40)]}.items():
        activity = np.concatenate([np.full(length, code, np.int16) for code, length in runs])
        sample = np.arange(len(activity)) + np.where((np.arange(len(activity)) >= 30) & (subject == "2"), 100, 0)
        samples = rng.standard_normal((len(activity), 3)).astype(np.float32)
        made.append(Recording(subject, f"recording {subject}", sample, activity, samples))
    return Recordings(description, lambda: iter(made))


def test_stored_clips_cover_their_runs(uneven: Recordings, tmp_path: Path) -> None:
    write_windows(cut_windows(uneven, WindowSettings(cut="clips", length=20)), tmp_path / "clips.parquet")
    clips = read_windows(tmp_path / "clips.parquet")
    assert clips.signals.shape == (7, 20, 3)
    assert (clips.length, clips.stride, clips.layout.length) == (20, 20, 20)
    assert clips.table[["subject", "start", "end", "activity"]].to_numpy().tolist() == [
        ["1", 0, 50, 0],
        ["1", 51, 84, 2],
        ["1", 104, 111, 0],
        ["2", 0, 30, 1],
        ["2", 130, 190, 1],
        ["2", 190, 202, 2],
        ["2", 202, 242, 0],
    ]
    cut = np.concatenate([cut_clips(recording, 20, [0, 1, 2]).signals for recording in uneven])
    np.testing.assert_array_equal(clips.signals, cut)
    unlabelled = cut_windows(uneven, WindowSettings(cut="clips", length=20, keep_unlabelled=True))
    assert [batch.activity.tolist() for batch in unlabelled.batches()] == [[0, 2, -1, 0], [1, 1, 2, 0]]


def test_the_audit_counts_all_raw_samples_of_clips(uneven: Recordings, tmp_path: Path) -> None:
    write_windows(cut_windows(uneven, WindowSettings(cut="clips", length=5)), tmp_path / "clips.parquet")
    clips = read_windows(tmp_path / "clips.parquet")
    split = SplitSettings(title="Subjects", leak_free=True, held_out="subject", pretrain_on="train")
    roles = Roles.of_one_repeat(LabelBudget(share=0.5), np.array([0, 2]), np.array([1]), np.arange(3, 7))
    (audit,) = count_leakage(clips, roles, split)["by_label_budget"]
    assert audit["test"] == {"raw_samples": 30 + 60 + 12 + 40, "windows": 4, "subjects": 1}
    nothing = {"raw_samples": 0, "windows": 0, "subjects": 0}
    assert audit["shared_with"] == {"train": nothing, "validation": nothing}
    roles = Roles.of_one_repeat(LabelBudget(share=0.5), np.array([2, 4]), np.array([0]), np.arange(3, 7))
    (audit,) = count_leakage(clips, roles, split)["by_label_budget"]
    assert audit["shared_with"]["train"] == {"raw_samples": 60, "windows": 1, "subjects": 1}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"length": 64}, "sliding windows need a stride"),
        ({"cut": "sliding", "length": 64}, "sliding windows need a stride"),
        ({"cut": "clips", "length": 64, "stride": 32}, "clips have a length in samples and no stride"),
        ({"cut": "clips", "length": 2.56, "unit": "seconds"}, "clips have a length in samples and no stride"),
        ({"cut": "whole", "length": 64}, "cut"),
        ({"cut": "clips", "length": 0}, "length"),
        ({"cut": "clips", "length": 64, "short_runs": "centre"}, "clips are of runs of any length"),
        ({"length": 64, "stride": 32, "short_runs": "pad"}, "short_runs"),
        ({"length": 64, "stride": 32, "activities": ["walk"]}, "activities"),
        ({"length": 64, "stride": 32, "activities": "walk"}, "activities"),
    ],
)
def test_windows_that_contradict_themselves_are_refused(facts: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowSettings.model_validate(facts)


def test_clips_of_a_fraction_of_a_sample_are_refused() -> None:
    assert WindowSettings(cut="clips", length=50).in_samples(20) == (50, 50)
    with pytest.raises(ValueError, match=r"windows\.length = 2\.5 samples"):
        WindowSettings(cut="clips", length=2.5).in_samples(20)


def test_no_clip_at_all_is_an_error(description: DatasetDescription, tmp_path: Path) -> None:
    recording = Recording("s", "r", np.arange(3), np.arange(3).astype(np.int16), np.zeros((3, 3), np.float32))
    assert cut_clips(recording, 10, [0, 1, 2]).signals.shape == (0, 10, 3)
    single = Recordings(description, lambda: iter([recording]))
    with pytest.raises(ValueError, match="No window of 10 samples"):
        write_windows(cut_windows(single, WindowSettings(cut="clips", length=10)), tmp_path / "w.parquet")


def test_windows_from_memory_are_recordings_of_their_own() -> None:
    signals = np.random.default_rng(0).standard_normal((4, 16, 5))
    found = Windows.from_arrays(signals.astype(np.float32), np.array([1, -1, 0, 1]), ["rest", "walk"])
    assert found.layout == Layout.anonymous(16, 5)
    assert found.class_count == 2
    assert found.classes().tolist() == [1, -1, 0, 1]
    assert found.description.class_names == ["rest", "walk"]
    assert found.table["recording"].nunique() == found.table["subject"].nunique() == 4
    assert found.table[["start", "end"]].to_numpy().tolist() == [[0, 16]] * 4
    np.testing.assert_array_equal(found.signals, signals.astype(np.float32))
    channels = [Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"]
    known = Windows.from_arrays(found.signals[..., :3], found.classes(), ["rest", "walk"], channels, 50)
    assert known.layout == Layout(length=16, channels=tuple(channels))
    assert known.description.sampling_rate_hz == 50


def test_a_window_that_ends_before_it_starts_is_refused(description: DatasetDescription, tmp_path: Path) -> None:
    ends = np.array([20, 10])
    batch = WindowBatch("s", "r", np.array([0, 10]), ends, np.zeros(2, np.int16), np.zeros((2, 20, 3), np.float32))
    write_windows(WindowStream(description, 20, 10, lambda: iter([batch])), tmp_path / "windows.parquet")
    with pytest.raises(SchemaError, match="a window ends before it starts"):
        read_windows(tmp_path / "windows.parquet")


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
