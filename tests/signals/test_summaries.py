"""Time in windows and time in none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.sensors import Channel
from contrastive_har.signals.summaries import (
    describe_summary,
    describe_windows,
    flipped,
    remarks,
    summarise_recordings,
    summarise_windows,
)
from contrastive_har.signals.windows import read_windows, write_windows

RATE = 10.0
DESCRIPTION = DatasetDescription(
    name="made",
    title="Made",
    sampling_rate_hz=RATE,
    channels=(Channel(name="x", unit="g"),),
    activities={0: "sit", 1: "walk", 2: "jump", 3: "fall", 4: "swim"},
    recognised=(0, 1, 2, 4),
)


def made(seed: int) -> Recordings:
    rng = np.random.default_rng(seed)
    recordings = []
    for index in range(4):
        runs = rng.integers(1, 90, rng.integers(5, 15))
        activity = np.repeat(rng.choice([-1, 0, 1, 2, 3], len(runs)), runs).astype(np.int16)
        sample = np.cumsum(np.where(rng.random(len(activity)) < 0.02, 5, 1))
        samples = rng.standard_normal((len(activity), 1)).astype(np.float32)
        recordings.append(Recording(f"s{index % 3}", f"r{index}", sample, activity, samples))
    return Recordings(DESCRIPTION, lambda: iter(recordings))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings",
    [
        WindowSettings(length=20, stride=10),
        WindowSettings(length=20, stride=30, keep_unlabelled=True),
        WindowSettings(length=20, stride=10, short_runs="centre"),
        WindowSettings(cut="clips", length=20),
    ],
    ids=["sliding", "apart", "centred", "clips"],
)
def test_minutes_add_up_sample_by_sample(tmp_path: Path, seed: int, settings: WindowSettings) -> None:
    recordings = made(seed)
    write_windows(cut_windows(recordings, settings), tmp_path / "windows.parquet")
    windows = read_windows(tmp_path / "windows.parquet")
    table = summarise_windows(recordings, windows).set_index("activity")
    parts = table[["in_windows", "in_short_runs", "left_over", "not_cut"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["minutes"], atol=1e-9)
    names = {-1: "(unlabelled)", **DESCRIPTION.activities}
    for code, name in names.items():
        total = inside = 0
        for recording in recordings:
            own = windows.table[windows.table["recording"] == recording.name]
            for sample, activity in zip(recording.sample, recording.activity, strict=True):
                if activity == code:
                    total += 1
                    inside += bool(((own["start"] <= sample) & (sample < own["end"])).any())
        if name in table.index:
            assert table["minutes"][name] == pytest.approx(total / RATE / 60)
            assert table["in_windows"][name] == pytest.approx(inside / RATE / 60)
        else:
            assert total == 0
    assert table["windows"].sum() == len(windows.table)
    assert table["minutes"]["swim"] == table["windows"]["swim"] == 0
    assert table["not_cut"]["fall"] == pytest.approx(table["minutes"]["fall"] - table["in_windows"]["fall"])


def test_what_is_lost_is_said_with_a_cure(tmp_path: Path) -> None:
    activity = np.repeat([0, 2, 0, 2, 1], [100, 15, 100, 15, 29]).astype(np.int16)
    samples = np.random.default_rng(0).standard_normal((len(activity), 1)).astype(np.float32)
    recording = Recording("a", "a", np.arange(len(activity)), activity, samples)
    recordings = Recordings(DESCRIPTION, lambda: iter([recording]))
    write_windows(cut_windows(recordings, WindowSettings(length=20, stride=20)), tmp_path / "windows.parquet")
    summary = summarise_windows(recordings, read_windows(tmp_path / "windows.parquet"))
    shown = describe_windows(summary).splitlines()
    assert shown[0] == "Minutes of each activity, its windows, and minutes in none:"
    assert shown[1].split() == ["activity", "minutes", "windows", "in_short_runs", "left_over"], "all are cut"
    assert [line.split()[0] for line in shown[2:]] == ["sit", "walk", "jump", "fall", "swim"]
    assert shown[2].split() == ["sit", "0.3", "10", "0.0", "0.0"]
    walk, jump = remarks(summary, 20, RATE)
    assert "'walk': 0.9 of 2.9 seconds are in no window. Shorten" in walk
    long = summary.assign(**{name: 30 * summary[name] for name in ("minutes", "in_short_runs", "left_over")})
    assert "'walk': 0.5 of 1.4 minutes are in no window." in remarks(long, 20, RATE)[0]
    assert "'jump'" in jump
    assert "100 % are in runs shorter than a window of 2 s" in jump
    assert "short_runs: centre" in jump


@pytest.mark.parametrize("turned", [0, 1])
def test_flipped_signs_are_doubted(turned: int) -> None:
    channels = tuple(Channel(name=f"acc_{axis}", unit="m/s²") for axis in "xyz")
    description = DESCRIPTION.model_copy(update={"channels": channels})
    rng = np.random.default_rng(0)
    recordings = []
    for index in range(6):
        samples = rng.normal([1, 9, 2], 1.0, (100, 3)) * (-1 if turned and index == 3 else 1)
        activity = np.zeros(100, np.int16)
        recordings.append(Recording(f"s{index}", f"r{index}", np.arange(100), activity, samples.astype(np.float32)))
    summary = summarise_recordings(Recordings(description, lambda: iter(recordings)))
    assert summary["doubted"].dropna().tolist() == ["r3"] * turned
    told = describe_summary(summary)
    assert told.startswith("Recordings: 6 subjects; 1.0 minutes, 1.0 of them labelled")
    assert ("1 doubted" in told) == bool(turned)


def test_orientations_that_differ_anyway_are_not_doubted() -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    assert flipped({str(index): axis for index, axis in enumerate(axes)}) == []
    assert flipped({str(index): 1e-9 * axis for index, axis in enumerate(axes)}) == []
    assert flipped({"a": axes[0], "b": axes[0], "c": axes[3]}) == []
