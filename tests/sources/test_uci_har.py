from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from contrastive_har.files.packages import PackagedFileError
from contrastive_har.signals.cutting import WindowSettings, cut_recording, cut_windows
from contrastive_har.signals.recordings import BadRecordingError, Recording, Recordings, Rejection
from contrastive_har.sources import IngestionSettings, open_source, uci_har

WINDOWS = {
    "walking": 1722,
    "walking upstairs": 1544,
    "walking downstairs": 1407,
    "sitting": 1801,
    "standing": 1979,
    "lying": 1958,
}


def open_uci_har(folder: Path, on_bad: str = "fail") -> Recordings:
    return open_source(folder, IngestionSettings.model_validate({"dataset": "uci_har", "on_bad_recording": on_bad}))


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    return list(open_uci_har(tmp_path_factory.mktemp("nothing")))


def write_official(recordings: list[Recording], folder: Path) -> Path:
    """Write recordings in the official layout of the HAPT archive."""
    raw = folder / "RawData"
    raw.mkdir(parents=True)
    labels = []
    for number, recording in enumerate(recordings, start=1):
        name = f"exp{number:02d}_user{int(recording.subject):02d}.txt"
        for sensor, columns in (("acc", recording.samples[:, :3]), ("gyro", recording.samples[:, 3:])):
            np.savetxt(raw / f"{sensor}_{name}", columns, fmt="%.16g")
        changes = np.flatnonzero(np.diff(recording.activity)) + 1
        for start, end in zip([0, *changes], [*changes, len(recording.activity)], strict=True):
            if recording.activity[start] >= 0:
                labels.append(f"{number} {recording.subject} {recording.activity[start]} {start} {end - 1}")
    (raw / "labels.txt").write_text("\n".join(labels) + "\n")
    return raw


def test_the_package_holds_the_known_recordings(packaged: list[Recording]) -> None:
    assert len(packaged) == 61
    assert len({recording.subject for recording in packaged}) == 30
    assert sum(recording.subject == "10" for recording in packaged) == 3
    assert packaged[0].samples.shape == (20598, 6)
    assert set(np.unique(np.concatenate([recording.activity for recording in packaged]))) == {-1, *range(1, 13)}


def test_known_number_of_windows(packaged: list[Recording], tmp_path: Path) -> None:
    length, stride = WindowSettings(length=128, stride=64).in_samples(50)
    description = open_uci_har(tmp_path).description
    batches = [cut_recording(recording, length, stride, list(description.recognised)) for recording in packaged]
    codes, counts = np.unique(np.concatenate([batch.activity for batch in batches]), return_counts=True)
    assert {description.activities[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)} == WINDOWS


def test_transitions_are_recognised_on_request(packaged: list[Recording], tmp_path: Path) -> None:
    recordings = Recordings(open_uci_har(tmp_path).description, lambda: iter(packaged))
    assert recordings.description.class_names == list(WINDOWS)
    stream = cut_windows(recordings, WindowSettings(length=128, stride=64, activities="all"))
    assert stream.description.class_count == 12
    assert stream.description.class_names[:6] == list(WINDOWS)
    assert stream.description.class_names[6] == "stand to sit"
    codes = np.concatenate([batch.activity for batch in stream.batches()])
    assert set(codes) == set(range(1, 13))
    assert (codes < 7).sum() == sum(WINDOWS.values())


def test_short_transitions_have_a_window_around_them(packaged: list[Recording], tmp_path: Path) -> None:
    recordings = Recordings(open_uci_har(tmp_path).description, lambda: iter(packaged))
    settings = WindowSettings(length=128, stride=64, activities="all", short_runs="centre")
    counts = np.zeros((2, 13), np.int64)
    for batch in cut_windows(recordings, settings).batches():
        tested = batch.subject in {"2", "4", "9", "10", "12", "13", "18", "20", "24"}
        np.add.at(counts[int(tested)], batch.activity, 1)
    assert counts[0].tolist() == [0, 1226, 1073, 987, 1293, 1423, 1413, 52, 44, 75, 61, 90, 58]
    assert counts[1].tolist() == [0, 496, 471, 420, 508, 556, 545, 25, 18, 32, 26, 49, 28]
    assert counts.sum() == 10_969


def test_official_files_give_the_same_recordings(
    packaged: list[Recording], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_official(packaged[:2] + packaged[18:21], tmp_path)
    official = list(open_uci_har(tmp_path))
    assert len(official) == 5
    assert "RawData holds 5 of the 61 files" in caplog.text
    for mine, theirs in zip(official, packaged[:2] + packaged[18:21], strict=True):
        assert mine.subject == theirs.subject
        np.testing.assert_array_equal(mine.samples, theirs.samples)
        np.testing.assert_array_equal(mine.activity, theirs.activity)
        np.testing.assert_array_equal(mine.sample, theirs.sample)
    assert [recording.name for recording in official[:2]] == [recording.name for recording in packaged[:2]]


def cut_off_last_number(path: Path) -> None:
    path.write_text(path.read_text().rstrip().rsplit(" ", 1)[0])


def remove_last_rows(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:-10]) + "\n")


def put(text: str, row: int) -> object:
    def change(path: Path) -> None:
        lines = path.read_text().splitlines()
        lines[row - 1] = text
        path.write_text("\n".join(lines) + "\n")

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_off_last_number, r"row 20598: 2 numbers instead of 3.*truncated"),
        (remove_last_rows, r"20588 samples, but gyro_exp01_user01\.txt has 20598"),
        (lambda path: path.write_text(""), r"0 samples, but gyro_exp01_user01\.txt has 20598"),
        (put("0.1 oops 0.3", 12), r"row 12: 'oops' is not a number"),
        (put("0.1 nan 0.3", 12), r"row 12: channel 'total_acc_y' is nan"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read"),
    ],
)
def test_damaged_official_files_are_rejected(
    packaged: list[Recording], tmp_path: Path, damage: object, message: str
) -> None:
    raw = write_official(packaged[:2], tmp_path)
    damage(raw / "acc_exp01_user01.txt")  # type: ignore[operator]
    kept, rejected = [], []
    for item in open_uci_har(tmp_path, "reject").stream():
        (rejected if isinstance(item, Rejection) else kept).append(item)
    assert [recording.name for recording in kept] == ["experiment 02"]
    assert len(rejected) == 1
    with pytest.raises(BadRecordingError, match=rf"acc_exp01_user01\.txt.*{message}"):
        list(open_uci_har(tmp_path))


def test_labels_beyond_the_end_are_rejected(packaged: list[Recording], tmp_path: Path) -> None:
    raw = write_official(packaged[:1], tmp_path)
    with (raw / "labels.txt").open("a") as file:
        file.write("1 1 5 20000 99999\n")
    with pytest.raises(BadRecordingError, match=r"labels\.txt names samples 20000 to 99999 of 20598"):
        list(open_uci_har(tmp_path))


def test_missing_labels_are_named(packaged: list[Recording], tmp_path: Path) -> None:
    (write_official(packaged[:1], tmp_path) / "labels.txt").unlink()
    with pytest.raises(BadRecordingError, match=r"labels\.txt is missing"):
        list(open_uci_har(tmp_path))


def test_a_copied_recording_is_rejected(packaged: list[Recording], tmp_path: Path) -> None:
    write_official([packaged[0], packaged[0]], tmp_path)
    items = list(open_uci_har(tmp_path, "reject").stream())
    assert isinstance(items[1], Rejection)
    assert "byte for byte" in items[1].reason
    assert "acc_exp01_user01.txt" in items[1].reason


@pytest.mark.parametrize(
    "content",
    [b"not gzip", *map(gzip.compress, (b"not a pickle", pickle.dumps([1]), pickle.dumps({1.5: [0]})))],
    ids=["not gzip", "no pickle", "other pickle", "half a user"],
)
def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    path = tmp_path / "HAPT.pkl.gz"
    path.write_bytes(content)
    monkeypatch.setattr(uci_har, "locate", lambda package, suffix: path)
    with pytest.raises(PackagedFileError, match="Reinstall kcc2020"):
        list(open_uci_har(tmp_path))
