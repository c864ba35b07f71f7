"""MotionSense and USC-HAD, from small files in the exact official layout: unpacked, zipped, damaged, missing."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from contrastive_har.signals.recordings import BadRecordingError, Recording, Recordings, Rejection
from contrastive_har.sources import IngestionSettings, open_source

TRIALS = {"dws": (1, 2, 11), "ups": (3, 4, 12), "wlk": (7, 8, 15), "jog": (9, 16), "std": (6, 14), "sit": (5, 13)}
COLUMNS = [
    *(f"attitude.{axis}" for axis in ("roll", "pitch", "yaw")),
    *(f"{part}.{axis}" for part in ("gravity", "rotationRate", "userAcceleration") for axis in "xyz"),
]


def motion_sense(folder: Path, subjects: int = 2) -> dict[str, pd.DataFrame]:
    """Write the official tree of CSV files; return the tables by recording."""
    rng = np.random.default_rng(0)
    tables = {}
    for activity, trials in TRIALS.items():
        for trial in trials:
            of_trial = folder / "A_DeviceMotion_data" / f"{activity}_{trial}"
            of_trial.mkdir(parents=True)
            for subject in range(1, subjects + 1):
                table = pd.DataFrame(rng.standard_normal((120, 12)), columns=COLUMNS)
                table.to_csv(of_trial / f"sub_{subject}.csv")
                tables[f"{activity}_{trial}, subject {subject}"] = table
    return tables


def usc_had(folder: Path, subjects: int = 2) -> dict[str, np.ndarray]:
    """Write the official tree of .mat files, one of them with the misspelt key; return the samples by recording."""
    rng = np.random.default_rng(0)
    tables = {}
    for subject in range(1, subjects + 1):
        of_subject = folder / "USC-HAD" / f"Subject{subject}"
        of_subject.mkdir(parents=True)
        for activity in range(1, 13):
            for trial in range(1, 6):
                samples = rng.standard_normal((60, 6))
                key = "activity_numbr" if (subject, activity) == (1, 3) else "activity_number"
                content = {
                    "title": "USC Human Motion Database",
                    "version": "1.0",
                    "date": "2010-Nov-30",
                    "subject": str(subject),
                    "age": "30",
                    "height": "170cm",
                    "weight": "65kg",
                    "activity": "walking",
                    key: str(activity),
                    "trial": str(trial),
                    "sensor_location": "front-right-hip",
                    "sensor_orientation": "not of interest here",
                    "sensor_readings": samples,
                }
                savemat(of_subject / f"a{activity}t{trial}.mat", content)
                tables[f"subject {subject}, activity {activity}, trial {trial}"] = samples
    return tables


def zipped(folder: Path, name: str) -> None:
    """Replace a tree by an archive as it is downloaded, with what a Mac adds to it."""
    top = next(path for path in folder.iterdir() if path.is_dir())
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(top.rglob("*")):
            archive.write(path, path.relative_to(folder))
            if path.is_file():
                archive.writestr(f"__MACOSX/{path.relative_to(folder).parent}/._{path.name}", b"\x00\x05\x16\x07")
                archive.writestr(f"__MACOSX/{path.relative_to(folder)}", b"\x00\x05\x16\x07")
    shutil.rmtree(top)


def opened(folder: Path, dataset: str, on_bad_recording: str = "fail") -> Recordings:
    settings = {"dataset": dataset, "on_bad_recording": on_bad_recording}
    return open_source(folder, IngestionSettings.model_validate(settings))


@pytest.mark.parametrize("as_archive", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_motion_sense(tmp_path: Path, as_archive: bool, nested: bool) -> None:
    tables = motion_sense(tmp_path)
    if as_archive:
        zipped(tmp_path, "A_DeviceMotion_data.zip")
    if nested:
        (tmp_path / "motion-sense-master").mkdir()
        for path in list(tmp_path.glob("A_Device*")):
            path.rename(tmp_path / "motion-sense-master" / path.name)
    source = opened(tmp_path, "motion_sense")
    recordings = {recording.name: recording for recording in source}
    assert set(recordings) == set(tables)
    assert len(recordings) == 30
    for name, table in tables.items():
        recording = recordings[name]
        total = table[[f"gravity.{a}" for a in "xyz"]].to_numpy() + table[[f"userAcceleration.{a}" for a in "xyz"]]
        gyro = table[[f"rotationRate.{a}" for a in "xyz"]]
        np.testing.assert_allclose(recording.samples, np.hstack([total, gyro]), rtol=1e-5)
        assert recording.subject == name.rpartition(" ")[2]
    names = source.description.activities
    assert {names[int(recordings[f"{a}_{t[0]}, subject 1"].activity[0])] for a, t in TRIALS.items()} == set(
        names.values()
    )
    assert names[int(recordings["jog_9, subject 1"].activity[0])] == "jogging"


def test_pointing_at_the_files_themselves(tmp_path: Path) -> None:
    """At the innermost folder, or at the archive; what lies beside it looks alike."""
    tables = motion_sense(tmp_path)
    other = tmp_path / "B_Accelerometer_data/wlk_7/sub_9.csv"
    other.parent.mkdir(parents=True)
    other.write_text(",x,y,z\n0,1,1,1\n")
    for folder in (tmp_path, tmp_path / "A_DeviceMotion_data"):
        assert {recording.name for recording in opened(folder, "motion_sense")} == set(tables)
    shutil.rmtree(other.parents[1])
    zipped(tmp_path, "A_DeviceMotion_data.zip")
    archive = tmp_path / "A_DeviceMotion_data.zip"
    assert {recording.name for recording in opened(archive, "motion_sense")} == set(tables)


def test_motion_sense_without_gravity(tmp_path: Path) -> None:
    tables = motion_sense(tmp_path, subjects=1)
    first = next(iter(opened(tmp_path, "motion_sense_user_acceleration")))
    np.testing.assert_allclose(first.samples[:, :3], tables[first.name][[f"userAcceleration.{a}" for a in "xyz"]])


@pytest.mark.parametrize(
    ("write", "dataset", "subjects"), [(motion_sense, "motion_sense", 24), (usc_had, "usc_had", 14)]
)
def test_a_part_of_the_files_is_warned_of(
    tmp_path: Path,
    write: Callable[[Path, int], dict[str, object]],
    dataset: str,
    subjects: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = len(write(tmp_path, subjects))
    source = opened(tmp_path, dataset)
    assert source.description.files == whole
    next(iter(source))
    assert not caplog.records
    next(path for path in tmp_path.rglob("*") if path.suffix in (".csv", ".mat")).unlink()
    next(iter(source))
    assert f"holds {whole - 1} of the {whole} files" in caplog.text


def test_a_trial_that_repeats_another_is_left_out_by_rule(tmp_path: Path) -> None:
    """As sit_13 of subject 1 repeats sit_5 in the public files."""
    tables = motion_sense(tmp_path)
    long, short = (tmp_path / "A_DeviceMotion_data" / trial / "sub_1.csv" for trial in ("sit_5", "sit_13"))
    tables["sit_5, subject 1"].iloc[20:100].reset_index(drop=True).to_csv(short)
    rejected = [item for item in opened(tmp_path, "motion_sense", "reject").stream() if isinstance(item, Rejection)]
    assert [item.recording for item in rejected] == ["sit_13, subject 1"]
    assert str(long) in rejected[0].reason


@pytest.mark.parametrize("as_archive", [False, True])
def test_usc_had(tmp_path: Path, as_archive: bool) -> None:
    tables = usc_had(tmp_path)
    if as_archive:
        zipped(tmp_path, "USC-HAD.zip")
    recordings = {recording.name: recording for recording in opened(tmp_path, "usc_had")}
    assert len(recordings) == 120
    for name, samples in tables.items():
        np.testing.assert_allclose(recordings[name].samples, samples, rtol=1e-6)
    third: Recording = recordings["subject 1, activity 3, trial 2"]
    assert (third.subject, set(third.activity.tolist())) == ("1", {3})


@pytest.mark.parametrize(
    ("dataset", "address"), [("motion_sense", "github.com/mmalekzadeh/motion-sense"), ("usc_had", "sipi.usc.edu/had")]
)
def test_missing_files_say_what_to_download_and_where_to_put_it(tmp_path: Path, dataset: str, address: str) -> None:
    with pytest.raises(BadRecordingError) as raised:
        list(opened(tmp_path / dataset, dataset))
    assert address in str(raised.value)
    assert str(tmp_path / dataset) in str(raised.value)


def break_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a table"),
        (b",gravity.x\n0,1\n", "no column 'gravity.y'|no column 'userAcceleration.x'"),
        (("," + ",".join(COLUMNS) + "\n0" + ",1" * 11 + ",oops\n").encode(), "row 2: 'oops' in column"),
        (("," + ",".join(COLUMNS) + "\n0" + ",1" * 11 + ",\n").encode(), "row 2: 'nan' in column 'userAcceleration.z'"),
    ],
)
def test_damaged_motion_sense_files(tmp_path: Path, content: bytes, message: str) -> None:
    motion_sense(tmp_path, subjects=1)
    broken = tmp_path / "A_DeviceMotion_data" / "wlk_7" / "sub_1.csv"
    break_file(broken, content)
    rejected = [item for item in opened(tmp_path, "motion_sense", "reject").stream() if isinstance(item, Rejection)]
    assert [item.recording for item in rejected] == ["wlk_7, subject 1"]
    assert str(broken) in rejected[0].reason
    with pytest.raises(BadRecordingError, match=message):
        list(opened(tmp_path, "motion_sense"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable .mat file"),
        (b"MATLAB 5.0 MAT-file" + b"\x00" * 300, "not a readable|no 'sensor_readings'"),
    ],
)
def test_damaged_usc_had_files(tmp_path: Path, content: bytes, message: str) -> None:
    usc_had(tmp_path, subjects=1)
    break_file(tmp_path / "USC-HAD/Subject1/a2t3.mat", content)
    with pytest.raises(BadRecordingError, match=message):
        list(opened(tmp_path, "usc_had"))


def test_a_mat_file_without_samples(tmp_path: Path) -> None:
    usc_had(tmp_path, subjects=1)
    savemat(tmp_path / "USC-HAD/Subject1/a2t3.mat", {"title": "x"})
    with pytest.raises(BadRecordingError, match=r"a2t3\.mat: no 'sensor_readings'"):
        list(opened(tmp_path, "usc_had"))


def test_a_broken_off_download_is_passed_over(tmp_path: Path) -> None:
    tables = usc_had(tmp_path, subjects=1)
    (tmp_path / ".USC-HAD.zip").write_bytes(b"PK half of it")
    assert len(list(opened(tmp_path, "usc_had"))) == len(tables)


def test_a_broken_archive(tmp_path: Path) -> None:
    (tmp_path / "USC-HAD.zip").write_bytes(b"not a zip")
    with pytest.raises(BadRecordingError, match="not a readable zip archive"):
        list(opened(tmp_path, "usc_had"))
