"""UCI-HAR as distributed, from small files in the exact official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.recordings import BadRecordingError, Rejection
from contrastive_har.signals.windows import read_windows, write_windows
from contrastive_har.sources import describe_source
from tests.sources.test_official_files import opened
from tests.sources.test_stamped_files import zipped

SIGNALS = [f"{sensor}_{axis}" for sensor in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"]
SUBJECTS = {"train": [1, 1, 1, 3, 3, 1, 3], "test": [2, 2, 2]}
CODES = {"train": [5, 5, 1, 6, 6, 1, 2], "test": [1, 3, 4]}


def uci_har_official(folder: Path) -> dict[str, np.ndarray]:
    """Write the official files of both parts; return their windows (windows, time, channels)."""
    rng = np.random.default_rng(0)
    windows = {}
    for part, subjects in SUBJECTS.items():
        of_part = folder / "UCI HAR Dataset" / part
        (of_part / "Inertial Signals").mkdir(parents=True)
        windows[part] = rng.standard_normal((len(subjects), 128, 9))
        for channel, signal in enumerate(SIGNALS):
            path = of_part / "Inertial Signals" / f"{signal}_{part}.txt"
            np.savetxt(path, windows[part][:, :, channel], fmt=" %.7e")
        np.savetxt(of_part / f"X_{part}.txt", rng.standard_normal((len(subjects), 561)))
        np.savetxt(of_part / f"y_{part}.txt", CODES[part], fmt="%d")
        np.savetxt(of_part / f"subject_{part}.txt", subjects, fmt="%d")
    return windows


@pytest.mark.parametrize("as_archive", [False, True])
@pytest.mark.parametrize(("cut", "length"), [({"cut": "sliding", "stride": 64}, 128), ({"cut": "clips"}, 128)])
def test_cutting_gives_the_distributed_windows(
    tmp_path: Path, as_archive: bool, cut: dict[str, object], length: int
) -> None:
    given = uci_har_official(tmp_path)
    if as_archive:
        zipped(tmp_path, "UCI HAR Dataset.zip")
    path = tmp_path / "windows.parquet"
    settings = WindowSettings.model_validate({**cut, "length": length})
    write_windows(cut_windows(opened(tmp_path, "uci_har_official"), settings), path)
    windows = read_windows(path)
    assert len(windows.table) == 10
    for part, subjects in SUBJECTS.items():
        of_part = np.flatnonzero(windows.table["official"] == part)
        order = np.argsort(subjects, kind="stable")  # subject by subject, each in the order of the files
        np.testing.assert_array_equal(windows.table["subject"].to_numpy()[of_part], [str(subjects[i]) for i in order])
        np.testing.assert_array_equal(windows.table["activity"].to_numpy()[of_part], np.array(CODES[part])[order])
        np.testing.assert_allclose(windows.signals[of_part], given[part][order], rtol=1e-5, atol=1e-6)


def test_windows_do_not_touch(tmp_path: Path) -> None:
    uci_har_official(tmp_path)
    for recording in opened(tmp_path, "uci_har_official"):
        count = len(recording.samples) // 128
        assert (np.diff(recording.sample) != 1).sum() == count - 1
        assert (np.diff(recording.sample) > 0).all()


def test_the_channels_are_those_of_the_files(tmp_path: Path) -> None:
    names = describe_source("uci_har_official").channel_names
    assert [name.replace("gyro", "body_gyro") for name in names] == SIGNALS


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Inertial Signals/body_gyro_y_train.txt", "1 2 3\n", "row 1: 3 numbers instead of 128"),
        ("y_train.txt", "5\n5\n1\n6\n6\n1\n", "6 rows, but the files before it have 7"),
        ("y_train.txt", "5\n5\n1\n6\n6\n1\n7\n", "row 7: unknown activity 7"),
        ("subject_train.txt", None, "no file subject_train.txt beside it"),
        ("Inertial Signals/total_acc_z_train.txt", None, "no file total_acc_z_train.txt beside it"),
    ],
)
def test_a_broken_part_is_named_and_the_other_is_read(
    tmp_path: Path, file: str, text: str | None, message: str
) -> None:
    uci_har_official(tmp_path)
    path = tmp_path / "UCI HAR Dataset/train" / file
    path.unlink() if text is None else path.write_text(text)
    items = list(opened(tmp_path, "uci_har_official", "reject").stream())
    (rejected,) = [item for item in items if isinstance(item, Rejection)]
    assert message in rejected.reason
    if text is not None:
        assert str(path) in rejected.reason
    assert [item.name for item in items if not isinstance(item, Rejection)] == ["test, subject 2"]


def test_a_missing_value_is_named_by_its_window(tmp_path: Path) -> None:
    uci_har_official(tmp_path)
    path = tmp_path / "UCI HAR Dataset/train/Inertial Signals/body_acc_x_train.txt"
    lines = path.read_text().splitlines()
    lines[3] = "nan " + " ".join(lines[3].split()[1:])  # the first window of subject 3
    path.write_text("\n".join(lines))
    with pytest.raises(BadRecordingError, match=r"row 4: channel 'body_acc_x' is nan"):
        list(opened(tmp_path, "uci_har_official"))
