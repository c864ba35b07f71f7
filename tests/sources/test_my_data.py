from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.signals.recordings import BadRecordingError, Recording, Recordings, Rejection
from contrastive_har.sources import IngestionSettings, open_source
from tests.conftest import OWN_DESCRIPTION, RATE, own_frame


def open_own(folder: Path, on_bad: str = "fail") -> Recordings:
    return open_source(folder, IngestionSettings.model_validate({"dataset": "my_data", "on_bad_recording": on_bad}))


def test_good_recordings(own_folder: Path) -> None:
    recordings = list(open_own(own_folder))
    assert [recording.subject for recording in recordings] == ["anna", "ben"]
    assert [recording.name for recording in recordings] == ["anna", "ben"]
    frame = pd.read_csv(own_folder / "anna.csv")
    np.testing.assert_allclose(recordings[0].samples, frame[["x", "y", "z"]], rtol=1e-6)
    assert recordings[0].sample.tolist() == list(range(len(frame)))
    assert set(recordings[0].activity) == {0, 1, 2}


BY_MODALITY = {
    **{key: value for key, value in OWN_DESCRIPTION.items() if key != "channels"},
    "modalities": {
        "light": {"lamp": {"unit": "lx", "channels": ["z"]}},
        "inertial": {"hand": {"unit": "g", "channels": ["x", "y"]}},
    },
}


def test_channels_may_be_described_by_modality(own_folder: Path) -> None:
    flat = list(open_own(own_folder))
    (own_folder / "dataset.yml").write_text(yaml.safe_dump(BY_MODALITY, sort_keys=False))
    source = open_own(own_folder)
    layout = source.description.layout(8)
    assert layout.sensors == {"lamp": (0,), "hand": (1, 2)}
    assert layout.modalities == {"light": slice(0, 1), "inertial": slice(1, 3)}
    for before, after in zip(flat, source, strict=True):
        np.testing.assert_array_equal(before.samples[:, [2, 0, 1]], after.samples)


def test_recordings_may_have_groups(own_folder: Path) -> None:
    describe(own_folder, groups=["session"])
    edit(own_folder, lambda f: f.assign(session="01"))
    pd.read_csv(own_folder / "ben.csv").assign(session=2.0).to_parquet(own_folder / "ben.parquet")
    (own_folder / "ben.csv").unlink()
    anna, ben = open_own(own_folder)
    assert (anna.groups, ben.groups) == ({"session": "01"}, {"session": "2"})


def test_parquet_and_csv_agree(own_folder: Path) -> None:
    csv = list(open_own(own_folder))
    for path in own_folder.glob("*.csv"):
        pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
        path.unlink()
    for before, after in zip(csv, open_own(own_folder), strict=True):
        np.testing.assert_array_equal(before.samples, after.samples)
        np.testing.assert_array_equal(before.activity, after.activity)


def test_several_recordings_in_a_file_and_codes_for_names(own_folder: Path) -> None:
    rng = np.random.default_rng(2)
    frames = [own_frame("cara", rng).assign(recording=name) for name in ("first", "second")]
    joined = pd.concat(frames).assign(activity=lambda f: f["activity"].map({"rest": 0, "walk": 1, "run": None}))
    joined.to_csv(own_folder / "cara.csv", index=False)
    mine = [recording for recording in open_own(own_folder) if recording.subject == "cara"]
    assert [recording.name for recording in mine] == ["first", "second"]
    assert set(mine[0].activity) == {-1, 0, 1}, "an empty label means unlabelled"


def test_names_are_taken_literally(own_folder: Path) -> None:
    describe(own_folder, activities={0: "rest", 1: "None", 2: "run"})
    edit(own_folder, lambda f: f.assign(subject="01", activity=f["activity"].replace("walk", "None")))
    pd.read_csv(own_folder / "ben.csv").assign(subject=2.0, activity=1.0).to_parquet(own_folder / "ben.parquet")
    (own_folder / "ben.csv").unlink()
    anna, ben = open_own(own_folder)
    assert (anna.subject, ben.subject) == ("01", "2")
    assert set(anna.activity) == {0, 1, 2}
    assert set(ben.activity) == {1}


def test_recordings_in_subfolders_keep_their_names_apart(own_folder: Path) -> None:
    for subject in ("anna", "ben"):
        (own_folder / subject).mkdir()
        (own_folder / f"{subject}.csv").rename(own_folder / subject / "walk.csv")
    assert [recording.name for recording in open_own(own_folder)] == ["anna/walk", "ben/walk"]


def test_two_recordings_of_one_name_are_refused(own_folder: Path) -> None:
    for subject in ("anna", "ben"):
        path = own_folder / f"{subject}.csv"
        pd.read_csv(path).assign(recording="first").to_csv(path, index=False)
    items = list(open_own(own_folder, "reject").stream())
    assert isinstance(items[1], Rejection)
    assert "'first' is also in" in items[1].reason


def test_rows_of_interleaved_recordings_are_counted_in_the_file(own_folder: Path) -> None:
    frame = own_frame("anna", np.random.default_rng(5)).assign(recording="a")
    other = own_frame("anna", np.random.default_rng(6)).assign(recording="b")
    mixed = pd.concat([frame, other]).sort_index(kind="stable").reset_index(drop=True)
    mixed.loc[7, "x"] = np.nan
    mixed.to_csv(own_folder / "anna.csv", index=False)
    edit(own_folder, at(9, "x", "oops"))
    with pytest.raises(BadRecordingError, match=r"anna\.csv, row 9: 'oops' in column 'x'"):
        list(open_own(own_folder))


def test_a_name_in_the_description_is_refused(own_folder: Path) -> None:
    describe(own_folder, name="uci_har")
    with pytest.raises(BadRecordingError, match="use 'title'"):
        open_own(own_folder)


def dated(path: Path) -> pd.DataFrame:
    """Return a recording with dates for seconds, and remove its file."""
    frame = pd.read_csv(path)
    path.unlink()
    return frame.assign(timestamp=pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(frame["timestamp"], unit="s"))


@pytest.mark.parametrize("as_index", [False, True])
def test_dates_in_parquet(own_folder: Path, as_index: bool) -> None:
    for path in own_folder.glob("*.csv"):
        frame = dated(path)
        (frame.set_index("timestamp") if as_index else frame).to_parquet(path.with_suffix(".parquet"))
    assert all((np.diff(recording.sample) == 1).all() for recording in open_own(own_folder))


def test_times_as_index_are_checked(own_folder: Path) -> None:
    frame = dated(own_folder / "anna.csv").drop(index=range(50, 60)).set_index("timestamp")
    describe(own_folder, gaps="reject", longest_gap=0.1)
    frame.to_parquet(own_folder / "anna.parquet")
    with pytest.raises(BadRecordingError, match=r"anna\.parquet, row 51: a gap"):
        list(open_own(own_folder))
    frame.assign(timestamp=frame.index).to_parquet(own_folder / "anna.parquet")  # as set_index(drop=False) leaves it
    with pytest.raises(BadRecordingError, match=r"anna\.parquet, row 51: a gap"):
        list(open_own(own_folder))
    frame.rename_axis(None).to_parquet(own_folder / "anna.parquet")
    with pytest.raises(BadRecordingError, match=r"anna\.parquet: times are its index, which has no name\. Name it"):
        list(open_own(own_folder))


def test_dates_and_no_time_stamps_at_all(own_folder: Path) -> None:
    frame = pd.read_csv(own_folder / "anna.csv")
    dated = frame.assign(timestamp=pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(frame["timestamp"], unit="s"))
    dated.to_csv(own_folder / "anna.csv", index=False)
    pd.read_csv(own_folder / "ben.csv").drop(columns=["timestamp", "activity"]).to_csv(
        own_folder / "ben.csv", index=False
    )
    anna, ben = open_own(own_folder)
    assert anna.sample.tolist() == list(range(len(frame)))
    assert set(ben.activity) == {-1}


def test_gaps_are_kept_on_the_clock_when_asked_to_split(own_folder: Path) -> None:
    describe(own_folder, gaps="split")
    edit(own_folder, lambda f: f.drop(index=range(100, 150)))
    anna = next(iter(open_own(own_folder)))
    assert np.flatnonzero(np.diff(anna.sample) != 1).tolist() == [99]
    assert anna.sample[100] - anna.sample[99] == 51


def edit(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / "anna.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def describe(folder: Path, **changes: object) -> None:
    (folder / "dataset.yml").write_text(yaml.safe_dump({**OWN_DESCRIPTION, **changes}))


def at(row: int, column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Change the cell in the file's row ``row`` (the header is row 1)."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.astype({column: object})
        changed.loc[row - 2, column] = value
        return changed

    return change


DAMAGE = {
    "missing column": (lambda f: f.drop(columns=["y"]), r"no column 'y'; found 'x', 'z'.*Rename"),
    "not a number": (at(7, "x", "oops"), r"row 7: 'oops' in column 'x' is not a number"),
    "unknown activity": (at(9, "activity", "swim"), r"row 9: unknown activity 'swim'. Known: rest, walk, run"),
    "no time": (at(4, "timestamp", "noon"), r"row 4: 'noon'.*is not a (time|number)"),
    "wrong rate": (lambda f: f.assign(timestamp=f["timestamp"] * 5), r"come at 10 Hz; dataset\.yml says 50 Hz"),
    "empty file": (lambda f: f.iloc[:0], r"a header but no rows"),
    "no subject": (at(3, "subject", None), r"row 3: 'subject' is empty"),
    "two subjects": (at(5, "subject", "zoe"), r"row 6: recording 'anna/anna' continues after others"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_input_is_named_and_the_rest_goes_on(own_folder: Path, kind: str) -> None:
    change, message = DAMAGE[kind]
    edit(own_folder, change)  # type: ignore[arg-type]
    items = list(open_own(own_folder, "reject").stream())
    rejected = [item for item in items if isinstance(item, Rejection)]
    assert [item.subject for item in items if isinstance(item, Recording)] == ["ben"]
    assert len(rejected) == 1
    with pytest.raises(BadRecordingError, match=rf"anna\.csv.*{message}"):
        list(open_own(own_folder))
    assert "anna.csv" in rejected[0].reason


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("anna.csv", b"", "the file is empty"),
        ("anna.csv", b'x,y\n"unclosed', "cannot be read|no column"),
        ("anna.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_unreadable_files_are_rejected(own_folder: Path, name: str, content: bytes, message: str) -> None:
    (own_folder / "anna.csv").unlink()
    (own_folder / name).write_bytes(content)
    with pytest.raises(BadRecordingError, match=rf"{name}.*({message})"):
        list(open_own(own_folder))
    assert [recording.subject for recording in open_own(own_folder, "reject")] == ["ben"]


def test_a_copy_is_rejected(own_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.read_csv(own_folder / "anna.csv").assign(subject="carl")
    frame.to_csv(own_folder / "carl.csv", index=False)
    items = list(open_own(own_folder, "reject").stream())
    (rejected,) = [item for item in items if isinstance(item, Rejection)]
    assert "carl.csv" in rejected.reason
    assert "anna.csv, byte for byte" in rejected.reason
    assert "1 recordings left out" in caplog.text
    assert rejected.reason in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels: [", "not valid YAML"),
        ("just words", "expected 'key: value'"),
        (yaml.safe_dump({**OWN_DESCRIPTION, "sampling_rate_hz": "fast"}), "sampling_rate_hz"),
        (yaml.safe_dump({**OWN_DESCRIPTION, "colour": "red"}), "colour"),
        (yaml.safe_dump({**OWN_DESCRIPTION, "gaps": "ignore"}), "gaps: .*'split' or 'reject'"),
        (yaml.safe_dump({**OWN_DESCRIPTION, "modalities": {}}), "give either 'channels' or 'modalities'"),
        (yaml.safe_dump({**BY_MODALITY, "modalities": {"inertial": 3}}), "modality 'inertial' must list its sensors"),
        (
            yaml.safe_dump({**BY_MODALITY, "modalities": {"inertial": {"acc": {"unit": "g", "channels": 3}}}}),
            "sensor 'acc'.*channels",
        ),
    ],
)
def test_bad_descriptions_are_named(own_folder: Path, text: str, message: str) -> None:
    (own_folder / "dataset.yml").write_text(text)
    with pytest.raises(BadRecordingError, match=rf"dataset\.yml.*{message}"):
        list(open_own(own_folder))


def test_missing_files_are_named(own_folder: Path) -> None:
    for path in own_folder.glob("*.csv"):
        path.unlink()
    with pytest.raises(BadRecordingError, match="no CSV or Parquet file"):
        list(open_own(own_folder))
    (own_folder / "dataset.yml").unlink()
    with pytest.raises(BadRecordingError, match=r"dataset\.yml is missing"):
        open_own(own_folder)


def test_jitter_is_no_gap(own_folder: Path) -> None:
    rng = np.random.default_rng(0)
    edit(own_folder, lambda f: f.assign(timestamp=f["timestamp"] + rng.uniform(-0.2, 0.2, len(f)) / RATE))
    anna = next(iter(open_own(own_folder)))
    assert (np.diff(anna.sample) == 1).all()
