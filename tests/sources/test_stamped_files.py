"""Opportunity, PAMAP2, HARTH, HAR70+ and mHealth, from small files in the exact official layout, with their defects."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_har.signals.cutting import cut_recording
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import BadRecordingError, Recording, Rejection
from contrastive_har.sources import describe_source
from tests.sources.test_official_files import opened

ROWS = 120
GESTURES = {406516: "open door 1", 404508: "close drawer 3", 408512: "clean table", 405506: "toggle switch"}
AXIVITY = ["back_x", "back_y", "back_z", "thigh_x", "thigh_y", "thigh_z"]


def put_numbers(path: Path, table: np.ndarray, separator: str = " ") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(table).to_csv(path, sep=separator, header=False, index=False, na_rep="NaN")


def opportunity(folder: Path) -> dict[str, np.ndarray]:
    """Write two subjects' official .dat files of 250 columns; return the tables by recording."""
    rng = np.random.default_rng(0)
    tables = {}
    for subject in (1, 2):
        for run in ("ADL1", "ADL2", "Drill"):
            table = rng.integers(-900, 900, (ROWS, 250)).astype(np.float64)
            table[:, 0] = np.round(np.arange(ROWS) * 1000 / 30)
            table[:, 249] = np.repeat([0, 406516, 404508, 408512, 405506, 401599], 20)
            put_numbers(folder / f"OpportunityUCIDataset/dataset/S{subject}-{run}.dat", table)
            tables[f"subject {subject}, {run}"] = table
    (folder / "OpportunityUCIDataset/dataset/column_names.txt").write_text("Column: 1 MILLISEC\n")
    return tables


def pamap2(folder: Path) -> dict[str, np.ndarray]:
    """Write the official .dat files of 54 columns, in which heart rates come at 9 Hz; return the tables."""
    rng = np.random.default_rng(0)
    tables = {}
    for session, subject in (("Protocol", 101), ("Protocol", 102), ("Optional", 101)):
        table = rng.standard_normal((ROWS, 54))
        table[:, 0] = 8.38 + np.arange(ROWS) / 100
        table[:, 1] = np.repeat([0, 12, 9 if session == "Optional" else 24], 40)
        table[np.arange(ROWS) % 11 > 0, 2] = np.nan
        put_numbers(folder / f"PAMAP2_Dataset/{session}/subject{subject}.dat", table)
        tables[f"subject {subject}, {session.lower()}"] = table
    return tables


def put_axivity(path: Path, codes: list[int], numbered: bool = False) -> pd.DataFrame:
    """Write a .csv file, perhaps with a column that numbers its rows; return its table."""
    table = pd.DataFrame(np.random.default_rng(codes).standard_normal((ROWS, 6)), columns=AXIVITY)
    times = pd.Timestamp("2019-01-12 00:00:00") + pd.to_timedelta(np.arange(ROWS) * 20, unit="ms")
    table.insert(0, "timestamp", times.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3])
    table["label"] = np.repeat(codes, ROWS // len(codes))
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=numbered)
    return table


def harth(folder: Path) -> dict[str, pd.DataFrame]:
    codes = {"S006": [6, 130, 4], "S015": [7, 8], "S030": [1, 2, 3]}
    return {name: put_axivity(folder / f"harth/{name}.csv", codes[name], name == "S015") for name in codes}


def har70plus(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: put_axivity(folder / f"har70plus/{name}.csv", [1, int(name) % 10]) for name in ("505", "518")}


def mhealth(folder: Path) -> dict[str, np.ndarray]:
    """Write the official .log files of 24 columns; return the tables by recording."""
    rng = np.random.default_rng(0)
    tables = {}
    for subject in (1, 2, 10):
        table = rng.standard_normal((ROWS, 24))
        table[:, 23] = np.repeat([0, 1, 12], 40)
        put_numbers(folder / f"MHEALTHDATASET/mHealth_subject{subject}.log", table, "\t")
        tables[f"subject {subject}"] = table
    return tables


def zipped(folder: Path, inner: str | None = None) -> None:
    """Replace what is in a folder by an archive as it is downloaded; by one inside another if ``inner`` names it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    name = folder / (inner or "official+data.zip")
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.relative_to(folder))
            path.unlink()
    if inner:
        with zipfile.ZipFile(folder / "official+data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("readme.pdf", b"%PDF")
            archive.write(name, inner)
        name.unlink()


def found(folder: Path, dataset: str) -> dict[str, Recording]:
    return {recording.name: recording for recording in opened(folder, dataset)}


@pytest.mark.parametrize("as_archive", [False, True])
def test_opportunity(tmp_path: Path, as_archive: bool) -> None:
    tables = opportunity(tmp_path)
    if as_archive:
        zipped(tmp_path)
    recordings = found(tmp_path, "opportunity")
    assert list(recordings) == list(tables)
    # Columns as the publishers count them, from 1.
    columns = [*range(38, 47), *range(51, 60), *range(64, 73), *range(77, 86), *range(90, 99)]
    for name, table in tables.items():
        recording = recordings[name]
        assert f"subject {recording.subject}, {recording.groups['run']}" == name
        assert recording.groups["session"] == f"S{recording.subject}-{recording.groups['run']}"
        np.testing.assert_array_equal(recording.samples, table[:, np.array(columns) - 1])
        np.testing.assert_array_equal(recording.sample, np.arange(ROWS))
        assert recording.mended == {}
    description = describe_source("opportunity")
    assert description.channel_names[9:13] == [
        *(f"right_upper_arm_acc_{axis}" for axis in "xyz"),
        "right_upper_arm_gyro_x",
    ]
    for row, code in enumerate(table[:, 249]):
        official = GESTURES.get(int(code))
        assert description.activities.get(int(recording.activity[row])) == official
    assert set(recording.activity[:20]) == set(recording.activity[-20:]) == {UNLABELLED}, "no gesture, and no such one"


def test_the_gestures_of_opportunity() -> None:
    description = describe_source("opportunity")
    assert (description.class_count, len(description.channels), len(description.layout(1).sensors)) == (17, 45, 15)
    assert {GESTURES[code] for code in GESTURES} == {description.activities[code - 400_000] for code in GESTURES}
    verbs = [name.split()[0] for name in description.activities.values()]
    assert (verbs.count("open"), verbs.count("close")) == (7, 7)


@pytest.mark.parametrize("as_archive", [False, True])
def test_pamap2(tmp_path: Path, as_archive: bool) -> None:
    tables = pamap2(tmp_path)
    if as_archive:
        zipped(tmp_path, "PAMAP2_Dataset.zip")
    recordings = found(tmp_path, "pamap2")
    assert set(recordings) == set(tables)
    # Columns as the publishers count them, from 1: temperature, 16 g, 6 g, gyroscope, magnetometer, orientation.
    columns = [first + index for first in (4, 21, 38) for index in (1, 2, 3, 7, 8, 9, 10, 11, 12)]
    for name, table in tables.items():
        np.testing.assert_allclose(recordings[name].samples, table[:, np.array(columns) - 1], rtol=1e-6)
        np.testing.assert_array_equal(recordings[name].activity, np.where(table[:, 1] == 0, -1, table[:, 1]))
        assert recordings[name].mended == {}
    description = describe_source("pamap2")
    assert len(description.activities) == 18
    assert "walking upstairs" in description.class_names
    assert "watching television" not in description.class_names


@pytest.mark.parametrize("as_archive", [False, True])
@pytest.mark.parametrize(("dataset", "write"), [("harth", harth), ("har70plus", har70plus)])
def test_harth_and_har70plus(
    tmp_path: Path, dataset: str, write: Callable[[Path], dict[str, pd.DataFrame]], as_archive: bool
) -> None:
    tables = write(tmp_path)
    if as_archive:
        zipped(tmp_path)
    recordings = found(tmp_path, dataset)
    assert list(recordings) == [f"subject {int(name.removeprefix('S'))}" for name in tables]
    for recording, table in zip(recordings.values(), tables.values(), strict=True):
        np.testing.assert_allclose(recording.samples, table[AXIVITY], rtol=1e-6)
        np.testing.assert_array_equal(recording.activity, table["label"])
        np.testing.assert_array_equal(recording.sample, np.arange(ROWS))
        assert recording.mended == {}


def test_both_can_share_a_folder(tmp_path: Path) -> None:
    harth(tmp_path)
    har70plus(tmp_path)
    assert set(found(tmp_path, "harth")) == {"subject 6", "subject 15", "subject 30"}
    assert set(found(tmp_path, "har70plus")) == {"subject 505", "subject 518"}


@pytest.mark.parametrize("as_archive", [False, True])
def test_mhealth(tmp_path: Path, as_archive: bool) -> None:
    tables = mhealth(tmp_path)
    if as_archive:
        zipped(tmp_path)
    recordings = found(tmp_path, "mhealth")
    assert list(recordings) == list(tables), "in the order of the numbers"
    columns = [*range(1, 4), *range(6, 24)]  # as the publishers count them, without 4 and 5, the electrocardiogram
    for name, table in tables.items():
        np.testing.assert_allclose(recordings[name].samples, table[:, np.array(columns) - 1], rtol=1e-6)
        np.testing.assert_array_equal(recordings[name].activity, np.where(table[:, 23] == 0, -1, table[:, 23]))


def test_missing_samples_are_interpolated_or_a_gap(tmp_path: Path) -> None:
    """As of a wireless sensor, in PAMAP2; the columns that are not read may lack what they like."""
    table = np.tile(np.arange(1000.0)[:, None], (1, 54))
    table[:, 0], table[:, 1] = np.arange(1000) / 100, 4
    hand, ankle = 4, 46
    table[100:150, hand] = np.nan
    table[400:600, ankle] = np.nan
    table[:, [3, 7, 16]] = np.nan
    table = np.delete(table, slice(800, 820), axis=0)
    put_numbers(tmp_path / "PAMAP2_Dataset/Protocol/subject105.dat", table)
    (recording,) = opened(tmp_path, "pamap2")
    expected = [*range(400), *range(600, 1000)]
    assert recording.sample.tolist() == expected
    np.testing.assert_allclose(recording.samples, np.tile(np.array(expected)[:, None], (1, 27)), rtol=1e-6)
    assert recording.mended == {"samples interpolated": 70, "samples left out": 200}
    batch = cut_recording(recording, 100, 100, [4])
    assert batch.start.tolist() == [0, 100, 200, 300, 600, 700, 800, 900]


def test_odd_times_of_harth(tmp_path: Path) -> None:
    """Times with nine decimals, a row twice, and a first second in steps of 10 ms."""
    table = harth(tmp_path)["S006"]
    milliseconds = np.concatenate([np.arange(20) * 10, 200 + np.arange(100) * 20])
    times = pd.Timestamp("2019-01-12 00:00:00") + pd.to_timedelta(milliseconds, unit="ms")
    table["timestamp"] = times.strftime("%Y-%m-%d %H:%M:%S.%f") + "000"
    pd.concat([table, table[50:60]]).to_csv(tmp_path / "harth/S006.csv", index=False)
    recording = found(tmp_path, "harth")["subject 6"]
    np.testing.assert_allclose(recording.samples, table[AXIVITY], rtol=1e-6)
    assert recording.mended == {"rows that repeat another": 10}


@pytest.mark.parametrize(
    ("dataset", "path", "change", "message"),
    [
        ("pamap2", "PAMAP2_Dataset/Protocol/subject101.dat", (3, 40, "oops"), "row 3: 'oops' is not a number"),
        ("pamap2", "PAMAP2_Dataset/Protocol/subject101.dat", (7, 1, "8"), "row 7: unknown activity 8"),
        ("pamap2", "PAMAP2_Dataset/Protocol/subject101.dat", (7, 1, "NaN"), "row 7: unknown activity nan"),
        ("pamap2", "PAMAP2_Dataset/Protocol/subject101.dat", (1, 0, ""), "row 1: 53 numbers instead of 54"),
        ("opportunity", "OpportunityUCIDataset/dataset/S1-ADL1.dat", (9, 0, ""), "row 9: 249 numbers instead of 250"),
        ("mhealth", "MHEALTHDATASET/mHealth_subject2.log", (120, 5, ""), "row 120: 23 numbers instead of 24"),
        ("harth", "harth/S006.csv", (3, 2, "oops"), "row 3: 'oops' in column 'back_y' is not a number"),
        ("harth", "harth/S006.csv", (3, 0, "noon"), "row 3: 'noon' is not a time"),
        ("harth", "harth/S006.csv", (3, 7, "9"), "row 3: unknown activity 9"),
        ("harth", "harth/S006.csv", (1, 7, "labels"), "no column 'label'"),
    ],
)
def test_damaged_files_are_rejected(
    tmp_path: Path, dataset: str, path: str, change: tuple[int, int, str], message: str
) -> None:
    {"pamap2": pamap2, "opportunity": opportunity, "mhealth": mhealth, "harth": harth}[dataset](tmp_path)
    row, column, text = change
    lines = (tmp_path / path).read_text().splitlines()
    separator = {"mhealth": "\t", "harth": ","}.get(dataset, " ")
    values = lines[row - 1].split(separator)
    values[column] = text
    lines[row - 1] = separator.join(values).strip()
    (tmp_path / path).write_text("\n".join(lines) + "\n")
    rejected = [item for item in opened(tmp_path, dataset, "reject").stream() if isinstance(item, Rejection)]
    assert len(rejected) == 1
    assert str(tmp_path / path) in rejected[0].reason
    assert message in rejected[0].reason


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    mhealth(tmp_path)
    (tmp_path / "MHEALTHDATASET/mHealth_subject2.log").write_text("\n")
    with pytest.raises(BadRecordingError, match=r"mHealth_subject2\.log: no samples"):
        list(opened(tmp_path, "mhealth"))
