"""What was once taken in silence: each is understood, refused with a cure that works, or counted."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.describing import propose
from contrastive_har.sources.own.settings import quoted
from tests.sources.own.made import CHANNELS, RATE, ROWS, describe, ingest, minutes, one, put, refusal, table
from tests.sources.own.test_cases import HALVES, proposed

INTERVALS = pd.DataFrame({"recording": "m1", "start": [0.0, 8.0], "end": [2.0, 9.0], "activity": ["sit", "walk"]})


def put_intervals(folder: Path, intervals: pd.DataFrame, **columns: str) -> None:
    put(folder, table().drop(columns="activity"), "m1.csv")
    put(folder, intervals, "labels.csv")
    describe(folder, intervals={"pattern": "labels.csv", "columns": columns})


def test_intervals_of_no_recording_are_named(tmp_path: Path) -> None:
    put_intervals(tmp_path, INTERVALS)
    assert minutes(one(tmp_path)) == {-1: 450, 0: 100, 1: 50}
    put_intervals(tmp_path, INTERVALS.assign(recording="M1"))
    (recording,), (rejected,) = ingest(tmp_path)
    assert "labels.csv, row 2: no recording 'M1'. There are: m1" in rejected.reason
    assert recording.mended["samples of a recording without intervals"] == ROWS
    describe(tmp_path, intervals={"pattern": "lables.csv"})
    with pytest.raises(BadRecordingError, match=r"no file of intervals suits 'pattern: lables\.csv'"):
        ingest(tmp_path)
    put(tmp_path, INTERVALS, "labels.csv")
    put(tmp_path, table().drop(columns=["activity", "timestamp"]), "m1.csv")
    describe(tmp_path, intervals={"pattern": "labels.csv"})
    assert "no time stamps, by which intervals could be found" in refusal(tmp_path)


def test_the_end_of_intervals_is_not_overlooked(tmp_path: Path) -> None:
    put_intervals(tmp_path, INTERVALS.rename(columns={"end": "Stop"}))
    assert any("'Stop' looks like the end of intervals" in other.reason for other in ingest(tmp_path)[1])
    describe(tmp_path, intervals={"pattern": "labels.csv", "columns": {"stop": "Stop"}})
    with pytest.raises(BadRecordingError, match="intervals: unknown column 'stop'"):
        ingest(tmp_path)
    describe(tmp_path, intervals={"pattern": "labels.csv", "columns": {"end": "Stop"}})
    assert minutes(one(tmp_path)) == {-1: 450, 0: 100, 1: 50}


def test_many_intervals_are_read_in_no_time(tmp_path: Path) -> None:
    count = 5000
    many = pd.DataFrame({"start": np.arange(count) / 100, "end": np.arange(1, count + 1) / 100, "activity": "sit"})
    put_intervals(tmp_path, many)
    assert minutes(one(tmp_path)) == {0: ROWS}


@pytest.mark.parametrize("role", ["activity", "timestamp", "recording"])
def test_declared_columns_have_to_be_there(tmp_path: Path, role: str) -> None:
    put(tmp_path, table().rename(columns={"activity": "Exercice", "timestamp": "Zeitpunkt"}))
    describe(tmp_path, columns={role: "Exercise"}, ignored=["Exercice", "Zeitpunkt"])
    assert "no column 'Exercise'; found 'subject', 'Zeitpunkt'" in refusal(tmp_path)
    describe(tmp_path, columns={"activities": "Exercice"})
    with pytest.raises(BadRecordingError, match="unknown 'activities'; known are"):
        ingest(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_times_in_a_column_without_a_name_are_not_overlooked(tmp_path: Path, suffix: str) -> None:
    describe(tmp_path)
    frame = table().drop(index=range(200, 350)).set_index("timestamp").rename_axis(None)
    frame.to_csv(tmp_path / "a.csv") if suffix == "csv" else frame.to_parquet(tmp_path / "a.parquet")
    assert "has no name" in refusal(tmp_path)
    if suffix == "csv":
        table().drop(columns="timestamp").to_csv(tmp_path / "a.csv")  # a count of rows is none
        assert minutes(one(tmp_path)) == HALVES


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path, encoding: str) -> None:
    frame = table().drop(index=range(200, 350))
    put(tmp_path, frame[["timestamp", *frame.columns.drop("timestamp")]], encoding="utf-8-sig")
    describe(tmp_path, encoding=encoding)
    assert one(tmp_path).mended["gaps"] == 1


@pytest.mark.parametrize("row", [3, 3000])
def test_an_open_quote_swallows_nothing(tmp_path: Path, row: int) -> None:
    frame = table(rows=6000).assign(note="ok")
    path = put(tmp_path, frame)
    lines = path.read_text().splitlines()
    lines[row] = lines[row].replace("ok", '"5 inch')
    path.write_text("\n".join(lines))
    assert f"row {row + 1}: a quote that is not closed" in refusal(tmp_path)
    lines[row] = lines[row].replace('"5 inch', '"5\ninch"')
    path.write_text("\n".join(lines))
    assert len(one(tmp_path).samples) == 6000


def test_recordings_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for index, subject in enumerate(("anna", "ben")):
        put(tmp_path, table(seed=index).drop(columns="subject"), f"{subject}/1.csv")
    describe(tmp_path, pattern="{subject}/{recording}.csv")
    assert [recording.subject for recording in ingest(tmp_path)[0]] == ["anna", "ben"]
    put(tmp_path, table("cara", 3), "a.csv")
    put(tmp_path, table("dora", 4), "a.txt")
    describe(tmp_path, pattern="a.*")
    assert [recording.name for recording in ingest(tmp_path)[0]] == ["a.csv", "a.txt"]


def test_cures_keep_what_is_declared(tmp_path: Path) -> None:
    start = pd.Timestamp("2026-02-01 12:00:00")
    stamps = start + pd.to_timedelta(np.arange(ROWS) // RATE, unit="s")
    put(tmp_path, table().assign(timestamp=stamps.strftime("%d.%m.%Y %H:%M:%S")))
    describe(tmp_path, timestamp={"format": "%d.%m.%Y %H:%M:%S"})
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES
    put(tmp_path, table().assign(timestamp=1000 * (np.arange(ROWS) // RATE)))
    describe(tmp_path, timestamp={"batches": "spread"})
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES
    put(tmp_path, table().assign(timestamp=np.arange(ROWS) // 25))
    describe(tmp_path, timestamp={"batches": "spread"})
    assert "time stamps come at 25 Hz; dataset.yml says 50 Hz" in refusal(tmp_path)


def test_rows_in_another_order_are_refused(tmp_path: Path) -> None:
    put(tmp_path, table().iloc[::-1])
    assert "times descend. Sort the rows by time" in refusal(tmp_path)
    both = pd.concat([table(rows=2000), table(rows=2000).assign(timestamp=lambda f: f["timestamp"] + 1000)])
    put(tmp_path, both.sort_index(kind="stable"))
    assert "as if rows of several recordings alternate" in refusal(tmp_path)


def test_a_restart_with_a_little_disorder_joins_nothing(tmp_path: Path) -> None:
    again = np.arange(300) / RATE
    again[:4] = [0.06, 0.0, 0.02, 0.04]
    put(tmp_path, table().assign(timestamp=np.concatenate([np.arange(300) / RATE, again])))
    recording = one(tmp_path)
    assert (np.diff(recording.sample) > 1).sum() == 1
    assert "samples interpolated" not in recording.mended


def test_numbers_may_be_dates_by_a_format(tmp_path: Path) -> None:
    stamps = pd.Timestamp("2026-02-01 12:00:55") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
    put(tmp_path, table().assign(timestamp=stamps.strftime("%H%M%S.%f")))
    describe(tmp_path, timestamp={"format": "%H%M%S.%f"})
    assert not one(tmp_path).mended
    put(tmp_path, table().assign(timestamp=[stamp.isoformat().replace(".", ",") for stamp in stamps]))
    describe(tmp_path)
    assert minutes(one(tmp_path)) == HALVES


def test_a_missing_hour_of_numbers_is_a_gap(tmp_path: Path) -> None:
    frame = table()
    frame.loc[300:, "timestamp"] += 3600
    put(tmp_path, frame)
    assert one(tmp_path).mended["gaps"] == 1


def test_clocks_that_stay_on_standard_time(tmp_path: Path) -> None:
    stamps = pd.Timestamp("2026-03-29 01:59:54") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
    put(tmp_path, table().assign(timestamp=stamps))
    describe(tmp_path, timestamp={"timezone": "Europe/Berlin"})
    assert minutes(one(tmp_path)) == HALVES
    offsets = [f"{stamp.isoformat()}+0{1 + int(row >= 300)}:00" for row, stamp in enumerate(stamps)]
    put(tmp_path, table().assign(timestamp=offsets))
    assert len(one(tmp_path).samples) == ROWS


@pytest.mark.parametrize("names", [("José", "José"), ("S1", "\uff331"), ("anna", "\u0430nna")])
def test_people_whose_names_look_the_same(tmp_path: Path, names: tuple[str, str]) -> None:
    for index, name in enumerate(names):
        put(tmp_path, table(name, index), f"{index}.csv")
    found, rejected = ingest(tmp_path)
    assert len({recording.subject for recording in found}) == 1
    assert len(found) + len(rejected) == 2


@pytest.mark.parametrize("name", ["nan", "None", "NULL"])
def test_nobody_is_called_nan(tmp_path: Path, name: str) -> None:
    put(tmp_path, table(name))
    assert "row 2: 'subject' is empty" in refusal(tmp_path)
    describe(tmp_path, values={"subject": None})
    with pytest.raises(BadRecordingError, match="'subject' has no value"):
        ingest(tmp_path)


@pytest.mark.parametrize("rows", [60, ROWS])
def test_impossible_samples_of_unknown_units(tmp_path: Path, rows: int) -> None:
    frame = table(rows=rows).assign(pulse=70.0)
    frame.loc[40, "pulse"] = 1e30
    put(tmp_path, frame)
    describe(tmp_path, channels=[*({"name": n, "unit": "g"} for n in CHANNELS), {"name": "pulse", "unit": "bpm"}])
    assert one(tmp_path).samples[:, 3].max() == 70


def test_damaged_files_do_not_stop_the_others(tmp_path: Path) -> None:
    put(tmp_path, table())
    whole = gzip.compress(table("b", 1).to_csv(index=False).encode())
    (tmp_path / "truncated.csv.gz").write_bytes(whole[:-20])
    (tmp_path / "none.csv.gz").write_bytes(b"not compressed")
    with zipfile.ZipFile(tmp_path / "crc.zip", "w") as archive:
        archive.writestr("c.csv", table("c", 2).to_csv(index=False))
    content = bytearray((tmp_path / "crc.zip").read_bytes())
    content[400] ^= 1
    (tmp_path / "crc.zip").write_bytes(bytes(content))
    (tmp_path / "long.csv").write_text('subject,acc_x,acc_y,acc_z\n"' + "x" * 200_000 + '",1,1,1\n')
    found, left_out = ingest(tmp_path)
    assert [recording.subject for recording in found] == ["anna"]
    assert len(left_out) == 4
    assert "truncated.csv.gz" in propose(tmp_path)


def test_units_are_said_where_all_samples_seem_impossible(tmp_path: Path) -> None:
    frame = table()
    frame[list(CHANNELS)] *= 1000
    put(tmp_path, frame)
    assert proposed(refusal(tmp_path)) == {"units": {"acc": "mg"}}
    frame[list(CHANNELS)] *= 17
    put(tmp_path, frame)
    assert "% of the samples of 'acc_y' are beyond -400 to 400 g" in refusal(tmp_path)
    describe(tmp_path, limits={"acc": [5, -5]})
    with pytest.raises(BadRecordingError, match="the limits of 'acc' are not in order"):
        ingest(tmp_path)


@pytest.mark.parametrize(
    "name", ["@home", "#1", "*x", "Yes", "off", "~", "?", "NULL", "0x1", "1.50", "a: b", "[sit]", "01"]
)
def test_cures_are_yaml_that_means_the_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, table().assign(activity=[name, *["sit"] * (ROWS - 1)]))
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == ({0: ROWS - 1, 1: 1} if name == "01" else {-1: 1, 0: ROWS - 1})
    assert quoted("walk") == "walk"
    describe(tmp_path, unlabelled=[1])
    with pytest.raises(BadRecordingError, match="unlabelled lists '1', which 'activities'"):
        ingest(tmp_path)


def test_names_that_are_shown_in_brackets_are_quoted_too(tmp_path: Path) -> None:
    put(tmp_path, table().rename(columns={"timestamp": "Time [s]"}))
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES


def test_a_folder_without_a_readable_table_is_not_described(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,timestamp\n1,2\n3,4,5\n6,7,8,9\n")
    with pytest.raises(BadRecordingError, match="no file with samples"):
        propose(tmp_path)
