"""What people report about their files, one test a kind: understood as declared, or refused with a cure that works."""

from __future__ import annotations

import gzip
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.signals.recordings import BadRecordingError
from tests.sources.own.made import CHANNELS, RATE, ROWS, describe, ingest, minutes, one, put, refusal, table

HALVES = {0: ROWS // 2, 1: ROWS // 2}


def proposed(message: str) -> dict[str, Any]:
    """Return what a message says to write in ``dataset.yml``."""
    cures = re.split("[Ww]rite '", message, maxsplit=1)[1].split("' in dataset.yml", 1)[0].split("' there", 1)[0]
    content: dict[str, Any] = {}
    for cure in cures.split("', '"):
        content |= yaml.safe_load(cure)
    return content


@pytest.mark.parametrize(("unit", "factor"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("start", [0, 1_767_620_467], ids=["since the start", "since 1970"])
def test_units_of_time_are_proposed_and_then_understood(tmp_path: Path, unit: str, factor: int, start: int) -> None:
    stamps = np.arange(ROWS) * factor // RATE + start * factor
    put(tmp_path, table().assign(timestamp=stamps))
    cure = proposed(refusal(tmp_path))
    assert cure == {"timestamp": {"column": "timestamp", "unit": unit}}
    describe(tmp_path, **cure)
    recording = one(tmp_path)
    assert minutes(recording) == HALVES
    assert not recording.mended
    np.testing.assert_array_equal(recording.sample, np.arange(ROWS))


def test_stamps_of_whole_seconds_are_spread(tmp_path: Path) -> None:
    start = pd.Timestamp("2017-06-02 12:46:00")
    put(tmp_path, table().assign(timestamp=start + pd.to_timedelta(np.arange(ROWS) // RATE, unit="s")))
    message = refusal(tmp_path)
    assert "duplicates" not in message
    describe(tmp_path, **proposed(message))
    recording = one(tmp_path)
    assert minutes(recording) == HALVES
    np.testing.assert_allclose(recording.samples, table()[list(CHANNELS)], atol=1e-5)


def test_bursts_are_spread(tmp_path: Path) -> None:
    rows = np.arange(ROWS)
    put(tmp_path, table().assign(timestamp=rows // RATE + 0.001 * (rows % RATE)))
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES


def test_single_lost_samples_are_interpolated_and_counted(tmp_path: Path) -> None:
    lost = [50, 51, 300, 444]
    put(tmp_path, table().drop(index=lost))
    recording = one(tmp_path)
    assert len(recording.samples) == ROWS
    assert recording.mended == {"rows in the file": ROWS - len(lost), "samples interpolated": len(lost)}
    expected = table()[list(CHANNELS)].drop(index=lost).reindex(range(ROWS)).interpolate()
    np.testing.assert_allclose(recording.samples, expected, atol=1e-5)


def test_jitter_is_put_on_the_regular_clock(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seconds = np.cumsum(rng.uniform(0.013, 0.027, ROWS))
    wave = np.sin(2 * np.pi * seconds)
    put(tmp_path, table().assign(timestamp=seconds.round(4), acc_x=wave.round(4)))
    recording = one(tmp_path)
    assert (np.diff(recording.sample) == 1).all()
    clock = seconds[0] + recording.sample / RATE
    assert np.abs(recording.samples[:, 0] - np.sin(2 * np.pi * clock)).max() < 0.02
    assert len(recording.samples) == int((seconds[-1] - seconds[0]) * RATE) + 1


@pytest.mark.parametrize("rate", [52, 100, 400])
def test_other_rates_are_resampled_and_said(tmp_path: Path, rate: int) -> None:
    seconds = np.arange(rate * 10) / rate
    frame = pd.DataFrame({"subject": "anna", "timestamp": seconds.round(5)})
    for name in CHANNELS:
        frame[name] = np.sin(2 * np.pi * 2 * seconds).round(5) + (name == "acc_y")
    put(tmp_path, frame)
    describe(tmp_path, check_units=False)
    recording = one(tmp_path)
    assert recording.mended[f"samples resampled from {rate} Hz"] == len(frame)
    middle = slice(50, -50)  # the filter has nothing before and after
    expected = np.sin(2 * np.pi * 2 * recording.sample / RATE)
    np.testing.assert_allclose(recording.samples[middle, 0], expected[middle], atol=0.02)


def test_what_is_resampled_down_is_filtered(tmp_path: Path) -> None:
    """A vibration of 45 Hz, sampled at 100 Hz, would look like one of 5 Hz at 50 Hz."""
    seconds = np.arange(1000) / 100
    frame = pd.DataFrame({"subject": "anna", "timestamp": seconds.round(2)})
    for name in CHANNELS:
        frame[name] = np.sin(2 * np.pi * 45 * seconds).round(5)
    put(tmp_path, frame)
    describe(tmp_path, check_units=False)
    assert np.abs(one(tmp_path).samples[50:-50]).max() < 0.05


def test_a_rate_that_cannot_be_is_refused(tmp_path: Path) -> None:
    put(tmp_path, table().assign(timestamp=np.arange(ROWS) / 10))
    assert "come at 10 Hz; dataset.yml says 50 Hz. Correct sampling_rate_hz" in refusal(tmp_path)


def test_the_hour_that_comes_twice_is_no_step(tmp_path: Path) -> None:
    seconds = pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
    local = pd.Timestamp("2026-10-25T02:59:54") + seconds
    local = local.where(local < pd.Timestamp("2026-10-25T03:00:00"), local - pd.Timedelta(hours=1))
    put(tmp_path, table().assign(timestamp=local))
    recording = one(tmp_path)
    assert (np.diff(recording.sample) == 1).all()
    assert recording.mended["changes of the clock by an hour"] == 1
    assert minutes(recording) == HALVES


def test_a_clock_that_begins_anew_divides(tmp_path: Path) -> None:
    put(tmp_path, table().assign(timestamp=np.concatenate([np.arange(300), np.arange(300)]) / RATE))
    recording = one(tmp_path)
    np.testing.assert_allclose(recording.samples, table()[list(CHANNELS)], atol=1e-5)  # never sorted together
    assert np.flatnonzero(np.diff(recording.sample) != 1).tolist() == [299]
    assert recording.mended["times that go back"] == recording.mended["gaps"] == 1


def test_rows_that_are_a_little_out_of_order_are_sorted(tmp_path: Path) -> None:
    order = [*range(100), 102, 100, 101, *range(103, ROWS)]
    put(tmp_path, table().iloc[order])
    recording = one(tmp_path)
    np.testing.assert_allclose(recording.samples, table()[list(CHANNELS)], atol=1e-5)
    assert recording.mended["rows out of order"] == 1


def test_rows_of_one_time_are_averaged(tmp_path: Path) -> None:
    frame = table()
    twice = frame.iloc[[10]].assign(acc_x=frame["acc_x"][10] + 1)
    put(tmp_path, pd.concat([frame.iloc[:11], twice, frame.iloc[11:]]))
    recording = one(tmp_path)
    assert recording.samples[10, 0] == pytest.approx(frame["acc_x"][10] + 0.5, abs=1e-5)
    assert recording.mended["rows of equal times"] == 1


def test_longer_gaps_divide_or_are_refused(tmp_path: Path) -> None:
    put(tmp_path, table().drop(index=range(100, 150)))
    recording = one(tmp_path)
    assert recording.sample[100] - recording.sample[99] == 51
    assert recording.mended["gaps"] == 1
    describe(tmp_path, gaps="reject")
    assert "anna.csv, row 102: a gap of 1.02 s before this row" in refusal(tmp_path)
    describe(tmp_path, gaps="reject", longest_gap=1.5)
    assert len(one(tmp_path).samples) == ROWS


@pytest.mark.parametrize("name", ["Timestamp", "time", "Time (s)", "seconds_elapsed", "DateTime", "Label", "Activity"])
def test_columns_that_look_like_needed_ones_are_never_ignored(tmp_path: Path, name: str) -> None:
    role = "activity" if name in ("Label", "Activity") else "timestamp"
    put(tmp_path, table().rename(columns={role: name}))
    message = refusal(tmp_path)
    assert f"'{name}' looks like" in message
    describe(tmp_path, **proposed(message))
    assert minutes(one(tmp_path)) == HALVES
    describe(tmp_path, ignored=[name])
    assert len(one(tmp_path).samples) == ROWS


def test_a_parquet_index_of_times_is_never_ignored(tmp_path: Path) -> None:
    describe(tmp_path)
    frame = table().assign(timestamp=lambda f: pd.to_datetime(f["timestamp"], unit="s")).set_index("timestamp")
    frame.rename_axis("time").to_parquet(tmp_path / "anna.parquet")
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES


def test_any_names_and_units(tmp_path: Path) -> None:
    named = {name: f"Acceleration {name[-1]} (m/s^2)" for name in CHANNELS}
    frame = table()
    frame[list(CHANNELS)] = (frame[list(CHANNELS)] * 9.80665).round(4)
    put(tmp_path, frame.rename(columns={**named, "timestamp": "Time (s)", "activity": "Label", "subject": "User"}))
    assert "no column 'acc_x'" in refusal(tmp_path) or "'subject'" in refusal(tmp_path)
    columns = {**named, "activity": "Label", "subject": "User"}
    describe(tmp_path, columns=columns, timestamp="Time (s)", units={"acc": "m/s2"})
    np.testing.assert_allclose(one(tmp_path).samples, table()[list(CHANNELS)], atol=1e-4)
    describe(tmp_path, columns=columns, timestamp="Time (s)", units={"hip": "m/s2"})
    with pytest.raises(BadRecordingError, match="units: no channel or sensor 'hip'"):
        ingest(tmp_path)
    describe(tmp_path, columns=columns, timestamp="Time (s)", units={"acc": "furlongs"})
    with pytest.raises(BadRecordingError, match="unknown unit 'furlongs'"):
        ingest(tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, table())
    path.write_text(path.read_text().replace("acc_y", "acc_x", 1))
    assert "two columns are named 'acc_x'" in refusal(tmp_path)


def test_days_of_a_spreadsheet_are_named(tmp_path: Path) -> None:
    frame = table()
    put(tmp_path, frame.assign(timestamp=46053.5 + frame["timestamp"] / 86400))
    _, (rejection,) = ingest(tmp_path)
    assert "unit: d" in rejection.reason
    describe(tmp_path, timestamp={"column": "timestamp", "unit": "d"})
    np.testing.assert_allclose(one(tmp_path).samples, frame[list(CHANNELS)], atol=1e-3)


@pytest.mark.parametrize("offset", ["", "+01:00"])
def test_intervals_in_an_hour_that_the_clock_shows_twice(tmp_path: Path, offset: str) -> None:
    """On 25 October 2026 clocks in Berlin go from 3:00 back to 2:00."""
    stamps = pd.Timestamp("2026-10-25T01:30:00+00:00") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
    put(tmp_path, table().drop(columns="activity").assign(timestamp=stamps), "anna/day.csv")
    spans = [f"2026-10-25T02:30:{second:02d}{offset}" for second in (0, 6, 12)]
    times = {"start": spans[:2], "end": spans[1:]}
    put(tmp_path, pd.DataFrame({**times, "activity": ["sit", "walk"]}), "anna/labels.csv")
    zone = {"timestamp": {"column": "timestamp", "timezone": "Europe/Berlin"}}
    describe(tmp_path, **zone, intervals={"pattern": "*/labels.csv", **zone})
    recordings, rejected = ingest(tmp_path)
    if offset:
        assert minutes(recordings[0]) == {0: ROWS // 2, 1: ROWS // 2}
    else:
        assert "row 2: the clock of Europe/Berlin shows 2026-10-25 02:30:00 twice" in rejected[0].reason
        assert "2026-10-25T02:30:00+02:00" in rejected[0].reason


def test_another_delimiter_is_named_where_columns_are_declared_too(tmp_path: Path) -> None:
    frame = table().rename(columns={"acc_x": "Acc X", "acc_y": "Acc Y", "acc_z": "Acc Z"})
    frame.to_csv(tmp_path / "a.csv", index=False, sep=";")
    describe(tmp_path, columns={"acc_x": "Acc X", "acc_y": "Acc Y", "acc_z": "Acc Z"})
    _, (reason,) = ingest(tmp_path)
    assert 'delimiter: ";"' in reason.reason


def test_a_delimiter_at_the_end_of_rows_shifts_nothing(tmp_path: Path) -> None:
    path = put(tmp_path, table())
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(row + "," for row in rows)]))
    np.testing.assert_allclose(one(tmp_path).samples, table()[list(CHANNELS)], atol=1e-5)
    path.write_text("\n".join([header, rows[0], rows[1] + ",", *rows[2:]]))
    assert "anna.csv, row 3: 7 cells where the header has 6" in refusal(tmp_path)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters_and_decimal_commas(tmp_path: Path, delimiter: str) -> None:
    put(tmp_path, table(), sep=delimiter, decimal=",")
    cure = proposed(refusal(tmp_path))
    assert cure == {"delimiter": delimiter, "decimal": ","}
    describe(tmp_path, **cure)
    np.testing.assert_allclose(one(tmp_path).samples, table()[list(CHANNELS)], atol=1e-5)


def test_what_stands_at_the_end_of_rows(tmp_path: Path) -> None:
    path = put(tmp_path, table()[["subject", "activity", "timestamp", *CHANNELS]])
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(row + ";" for row in rows)]))
    describe(tmp_path, **proposed(refusal(tmp_path)))
    np.testing.assert_allclose(one(tmp_path).samples, table()[list(CHANNELS)], atol=1e-5)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path, table("Zoë"))
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    if encoding in ("utf-16-le", "latin-1"):
        describe(tmp_path, encoding=proposed(refusal(tmp_path))["encoding"])
    recording = one(tmp_path)
    assert recording.subject == "Zoë"
    assert minutes(recording) == HALVES


def test_lines_before_the_header(tmp_path: Path) -> None:
    path = put(tmp_path, table())
    path.write_text("--- made by a logger, 50 Hz ---\nSerial: 7, 8\n\n" + path.read_text())
    describe(tmp_path, **proposed(refusal(tmp_path)))
    assert minutes(one(tmp_path)) == HALVES


def test_files_without_a_header(tmp_path: Path) -> None:
    frame = table()
    put(tmp_path, frame, header=False)
    describe(tmp_path, header=list(frame.columns))
    np.testing.assert_allclose(one(tmp_path).samples, frame[list(CHANNELS)], atol=1e-5)


def test_every_file_is_read_or_said_to_be_passed_over(tmp_path: Path) -> None:
    put(tmp_path, table())
    with gzip.open(tmp_path / "ben.csv.gz", "wt") as file:
        table("ben", 1).to_csv(file, index=False)
    put(tmp_path, table("cara", 2), "cara.txt")
    put(tmp_path, table("dora", 3), "dora.tsv", sep="\t")
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, table("emil", 4), "emil.csv")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("in/emil.csv", (elsewhere / "emil.csv").read_text())
    (elsewhere / "dataset.yml").unlink()
    (elsewhere / "emil.csv").unlink()
    put(tmp_path.parent / f"{tmp_path.name} linked", table("fritz", 5), "fritz.csv")
    (tmp_path / "linked").symlink_to(tmp_path.parent / f"{tmp_path.name} linked")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "._anna.csv").write_bytes(b"\0\5\26\7")
    (tmp_path / "Metadata.csv").write_text("version,device\n1.47,phone\n")
    (tmp_path / "notes.docx").write_bytes(b"PK")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    os.mkfifo(tmp_path / "pipe.csv")
    found, others = ingest(tmp_path, "fail")
    assert {recording.subject for recording in found} == {"anna", "ben", "cara", "dora", "emil", "fritz"}
    assert all(other.passed_over for other in others)
    said = " ".join(other.reason for other in others)
    for name in ("loop", "._anna.csv", "Metadata.csv", "notes.docx", "broken.zip", "pipe.csv"):
        assert name in said


def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    describe(tmp_path)
    (tmp_path / "anna.csv").write_bytes(b"x" * (3 << 20))
    assert "the first line is longer than 1 MB" in refusal(tmp_path)


def test_one_person_is_one_person(tmp_path: Path) -> None:
    put(tmp_path, table("1"), "a.csv")
    put(tmp_path, table("1.0", 1), "b.csv")
    found, rejected = ingest(tmp_path)
    assert [recording.subject for recording in found] == ["1", "1"]
    assert not rejected


@pytest.mark.parametrize("names", [("s1", "S01"), ("anna", "Anna "), ("person 2", "person_2")])
def test_similar_names_have_to_be_explained(tmp_path: Path, names: tuple[str, str]) -> None:
    for index, name in enumerate(names):
        put(tmp_path, table(name, index), f"{index}.csv")
    _, (rejected,) = ingest(tmp_path)
    first, second = (name.strip() for name in names)
    assert f"subject '{second}' may be '{first}'" in rejected.reason
    describe(tmp_path, subjects={second: first})
    assert [recording.subject for recording in ingest(tmp_path)[0]] == [first, first]
    describe(tmp_path, subjects={second: second})
    assert [recording.subject for recording in ingest(tmp_path)[0]] == [first, second]


def test_a_name_that_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    put(tmp_path, table("an\x00na"))
    assert "row 2: 'subject'" in refusal(tmp_path)


@pytest.mark.parametrize("activities", [{0: "1", 1: "2"}, {1: "0", 0: "1"}])
def test_names_that_are_codes_of_others_are_refused(tmp_path: Path, activities: dict[int, str]) -> None:
    put(tmp_path, table().assign(activity=1))
    describe(tmp_path, activities=activities)
    with pytest.raises(BadRecordingError, match=r"dataset\.yml: activity '.' has the code ., but .* could be either"):
        ingest(tmp_path)
    describe(tmp_path, activities={0: "zero", 1: "one"})
    assert minutes(one(tmp_path)) == {1: ROWS}
    describe(tmp_path, activities={0: "0", 1: "1"})
    assert minutes(one(tmp_path)) == {1: ROWS}


def test_labels_by_other_names(tmp_path: Path) -> None:
    names = np.repeat(["null", "WALKING", "jog", "sit", "7", "lying"], 100)
    put(tmp_path, table().assign(activity=names))
    message = refusal(tmp_path)
    assert "row 2: unknown activity 'null'" in message
    assert proposed(message) == {"unlabelled": ["null"]} or "unlabelled: [null]" in message
    text = "unlabelled: [null, 7]\nsynonyms: {WALKING: walk, jog: walk}\nleft_out: [lying]\n"
    (tmp_path / "dataset.yml").write_text(yaml.safe_dump(yaml.safe_load((tmp_path / "dataset.yml").read_text())) + text)
    recording = one(tmp_path)
    assert minutes(recording) == {-1: 200, 0: 100, 1: 200}
    assert recording.mended["samples of activities to leave out"] == 100
    describe(tmp_path, synonyms={"WALKING": "wlak"})
    with pytest.raises(BadRecordingError, match="'WALKING' is said to be 'wlak'"):
        ingest(tmp_path)


def test_labels_from_names_of_files_and_folders(tmp_path: Path) -> None:
    for index, (subject, activity) in enumerate([("anna", "sit"), ("ben", "walk")]):
        frame = table(seed=index).drop(columns=["subject", "activity"])
        put(tmp_path, frame, f"{subject}/{activity}_1.csv")
    describe(tmp_path, pattern="{subject}/{activity}_{recording}.csv")
    found, rejected = ingest(tmp_path)
    assert not rejected
    assert [one.name for one in found] == ["anna/sit_1.csv", "ben/walk_1.csv"], "both are '1'"
    describe(tmp_path, pattern="{subject}/{activity}_*.csv")
    found, _ = ingest(tmp_path)
    assert [(one.subject, one.name, minutes(one)) for one in found] == [
        ("anna", "anna/sit_1", {0: ROWS}),
        ("ben", "ben/walk_1", {1: ROWS}),
    ]
    describe(tmp_path, pattern="{subject}/{activity}-*.csv")
    with pytest.raises(BadRecordingError, match="no CSV or Parquet file"):
        ingest(tmp_path)


@pytest.mark.parametrize("has_end", [True, False])
def test_labels_from_intervals(tmp_path: Path, has_end: bool) -> None:
    put(tmp_path, table().drop(columns="activity"), "anna/acc.csv")
    intervals = pd.DataFrame({"from": [1.0, 6.0], "to": [3.0, 8.0], "what": ["sit", "walk"]})
    put(tmp_path, intervals if has_end else intervals.drop(columns="to"), "anna/labels.csv")
    columns = {"start": "from", "activity": "what", **({"end": "to"} if has_end else {})}
    describe(tmp_path, intervals={"pattern": "*/labels.csv", "columns": columns})
    assert minutes(one(tmp_path)) == ({-1: 400, 0: 100, 1: 100} if has_end else {-1: 50, 0: 250, 1: 300})
    put(tmp_path, intervals.assign(to=[7.0, 8.0]), "anna/labels.csv")
    if has_end:
        assert any("labels.csv, row 2: overlaps with the next" in other.reason for other in ingest(tmp_path)[1])


@pytest.mark.parametrize("channel", ["acc_x", None])
def test_missing_samples_are_filled_or_divide(tmp_path: Path, channel: str | None) -> None:
    frame = table()
    names = list(CHANNELS) if channel is None else [channel]
    frame.loc[100:101, names] = np.nan
    frame.loc[400:449, names] = np.nan
    put(tmp_path, frame)
    recording = one(tmp_path)
    expected = frame[list(CHANNELS)].interpolate(limit_area="inside")
    np.testing.assert_allclose(recording.samples[:400], expected[:400], atol=1e-5)
    assert recording.mended["samples interpolated"] == 2
    assert recording.mended["samples left out"] == 50
    assert np.flatnonzero(np.diff(recording.sample) != 1).tolist() == [399]


@pytest.mark.parametrize("value", [65535.0, 1e30, -1e30, np.inf])
def test_one_impossible_sample_does_not_count(tmp_path: Path, value: float) -> None:
    frame = table()
    frame.loc[100, "acc_x"] = value
    put(tmp_path, frame)
    recording = one(tmp_path)
    expected = table()[list(CHANNELS)]
    expected.loc[100, "acc_x"] = (expected["acc_x"][99] + expected["acc_x"][101]) / 2
    np.testing.assert_allclose(recording.samples, expected, atol=1e-5)
    assert any("row 102: acc_x = " in defect for defect in recording.mended)


def test_limits_may_be_declared_and_unknown_units_have_robust_ones(tmp_path: Path) -> None:
    frame = table().assign(pulse=np.linspace(60, 90, ROWS))
    frame.loc[100, "pulse"] = 65535
    put(tmp_path, frame)
    channels = [*({"name": name, "unit": "g"} for name in CHANNELS), {"name": "pulse", "unit": "bpm"}]
    describe(tmp_path, channels=channels)
    assert one(tmp_path).samples[:, 3].max() < 91
    describe(tmp_path, channels=channels, limits={"pulse": [30, 80]})
    recording = one(tmp_path)
    assert recording.samples[:, 3].max() <= 80
    assert recording.mended["samples left out"] > 100


def test_rows_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = put(tmp_path, table())
    lines = path.read_text().splitlines()
    lines[100] = lines[100].replace("sit", "bogus")
    path.write_text("\n".join([lines[0], "", *lines[1:50], "", "", *lines[50:]]))
    assert "row 104: unknown activity 'bogus'" in refusal(tmp_path)
    lines[100] = lines[100].replace("bogus", "sit").replace("anna", "")
    path.write_text("\n".join([lines[0], "", *lines[1:50], "", "", *lines[50:]]))
    assert "row 104: 'subject' is empty" in refusal(tmp_path)
    lines[100] = "anna,1.98,x1,1,0,sit"
    path.write_text("\n".join([lines[0], "", *lines[1:50], "", "", *lines[50:]]))
    assert "row 104: 'x1' in column 'acc_x' is not a number" in refusal(tmp_path)


def test_coarse_and_saturated_sensors_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(6):
        frame = table(f"s{index}", index, 1500)
        frame[list(CHANNELS)] = np.array([0, 1, 0]) + rng.choice([0, 0, 0, 1, -1], (1500, 3)) / 64
        put(tmp_path, frame, f"s{index}.csv")
    found, rejected = ingest(tmp_path)
    assert len(found) == 6
    assert not rejected
    clipped = table("t", 0, 1500).assign(acc_x=lambda f: f["acc_x"].clip(-0.2, 0.2))
    put(tmp_path, clipped, "t.csv")
    assert ingest(tmp_path)[0][-1].mended["saturated samples"] > 100
    put(tmp_path, clipped.assign(subject="u"), "u.csv")
    assert "t.csv, byte for byte" in ingest(tmp_path)[1][0].reason


def test_sensors_in_files_of_their_own(tmp_path: Path) -> None:
    frame = table()
    start = 1_767_620_467_350_470_700
    gyro = pd.DataFrame({"time": start + np.arange(2 * ROWS) * 10_000_000 + 3_000_000})
    gyro["z"] = np.sin(2 * np.pi * np.arange(2 * ROWS) / 100).round(5)
    acc = pd.DataFrame({"time": start + np.arange(ROWS) * 20_000_000, "z": frame["acc_z"], "y": frame["acc_y"]})
    acc["x"] = frame["acc_x"]
    put(tmp_path, acc.assign(seconds_elapsed=0), "walk/Accelerometer.csv")
    put(tmp_path, gyro, "walk/Gyroscope.csv")
    put(tmp_path, pd.DataFrame({"time": [start + 2 * 10**9], "text": ["sit"]}), "walk/Annotation.csv")
    put(tmp_path, pd.DataFrame({"version": [1.47], "device": ["phone"]}), "walk/Metadata.csv")
    describe(
        tmp_path,
        channels=[*({"name": name, "unit": "g"} for name in CHANNELS), {"name": "gyr_z", "unit": "rad/s"}],
        timestamp={"column": "time", "unit": "ns"},
        values={"subject": "anna"},
        files=[
            {"pattern": "{recording}/Accelerometer.csv", "columns": {name: name[-1] for name in CHANNELS}},
            {"pattern": "{recording}/Gyroscope.csv", "columns": {"gyr_z": "z"}},
        ],
        intervals={"pattern": "{recording}/Annotation.csv", "columns": {"start": "time", "activity": "text"}},
    )
    (recording,), others = ingest(tmp_path)
    assert [other.passed_over for other in others] == [True]
    assert (recording.name, recording.subject) == ("walk", "anna")
    assert minutes(recording)[-1] == pytest.approx(100, abs=1)
    seconds = 0.003 + recording.sample / RATE  # the clock begins where both have samples
    np.testing.assert_allclose(recording.samples[50:-50, 3], np.sin(2 * np.pi * (seconds - 0.003))[50:-50], atol=0.02)
    expected = np.interp(seconds, np.arange(ROWS) / RATE, frame["acc_x"])
    np.testing.assert_allclose(recording.samples[:, 0], expected, atol=1e-5)
    (tmp_path / "walk/Gyroscope.csv").unlink()
    _, others = ingest(tmp_path)
    assert any(
        "recording 'walk' has no file with 'gyr_z'" in other.reason or "no column" in other.reason for other in others
    )


def test_recordings_in_other_units_than_declared_are_named(tmp_path: Path) -> None:
    for index in range(4):
        frame = table(f"s{index}", index)
        if index > 1:
            frame[list(CHANNELS)] *= 9.80665
        put(tmp_path, frame, f"s{index}.csv")
    found, rejected = ingest(tmp_path)
    assert [recording.subject for recording in found] == ["s0", "s1"]
    assert all("'acc' is declared in g, but at rest its length is 9.8" in one.reason for one in rejected)
    cure = proposed(rejected[0].reason)
    assert cure == {"units": {"acc": "m/s²"}}
    describe(tmp_path, files=[{"pattern": "s[23].csv", **cure}, {"pattern": "**"}])
    describe(tmp_path, files=[{"pattern": "s2.csv", **cure}, {"pattern": "s3.csv", **cure}, {"pattern": "**"}])
    found, rejected = ingest(tmp_path)
    assert not rejected
    assert all(np.median(np.linalg.norm(one.samples[:300], axis=1)) == pytest.approx(1, abs=0.05) for one in found)


def test_gyroscopes_in_degrees_are_named(tmp_path: Path) -> None:
    put(tmp_path, table().assign(gyr_x=100 * np.sin(np.arange(ROWS) / 10)))
    channels = [*({"name": name, "unit": "g"} for name in CHANNELS), {"name": "gyr_x", "unit": "rad/s"}]
    describe(tmp_path, channels=channels)
    assert "'gyr' is declared in rad/s" in refusal(tmp_path)
    describe(tmp_path, channels=channels, units={"gyr": "deg/s"})
    assert one(tmp_path).samples[:, 3].max() == pytest.approx(np.deg2rad(100), abs=0.01)


def test_iso_stamps_with_and_without_fractions(tmp_path: Path) -> None:
    stamps = [
        stamp.isoformat()
        for stamp in pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(np.arange(ROWS) / RATE, "s")
    ]
    put(tmp_path, table().assign(timestamp=stamps))
    assert minutes(one(tmp_path)) == HALVES
    put(tmp_path, table().assign(timestamp=[f"{stamp}+01:00" for stamp in stamps]))
    assert minutes(one(tmp_path)) == HALVES


def test_dates_of_other_orders_by_a_declared_format(tmp_path: Path) -> None:
    stamps = pd.Timestamp("2026-02-01T12:00:00") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
    put(tmp_path, table().assign(timestamp=stamps.strftime("%d.%m.%Y %H:%M:%S.%f")))
    assert "row 2: '01.02.2026 12:00:00.000000' is not a time" in refusal(tmp_path)
    describe(tmp_path, timestamp={"format": "%d.%m.%Y %H:%M:%S.%f"})
    assert minutes(one(tmp_path)) == HALVES


def test_one_tidy_file_of_all_people(tmp_path: Path) -> None:
    put(tmp_path, pd.concat([table(name, index) for index, name in enumerate(("anna", "ben", "cara"))]), "all.csv")
    found, rejected = ingest(tmp_path)
    assert [(one.subject, one.name) for one in found] == [(n, f"all/{n}") for n in ("anna", "ben", "cara")]
    assert not rejected


def test_large_files_come_in_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recordings of a file are the same whatever part of it is in memory."""
    put(tmp_path, pd.concat([table(f"p{index}", index) for index in range(12)]), "all.csv")
    whole, _ = ingest(tmp_path)
    monkeypatch.setattr("contrastive_har.sources.own.text_tables._BLOCK", 8192)
    monkeypatch.setattr("contrastive_har.sources.own.rows._MANY", 1000)
    parts, rejected = ingest(tmp_path)
    assert not rejected
    assert [one.name for one in parts] == [one.name for one in whole]
    for before, after in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(before.samples, after.samples)
        np.testing.assert_array_equal(before.activity, after.activity)


def test_times_beyond_all_calendars_are_no_times(tmp_path: Path) -> None:
    frame = table()
    frame.loc[ROWS - 1, "timestamp"] = 1e300
    put(tmp_path, frame)
    assert one(tmp_path).mended["rows without a time"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_broken_row_far_down_is_named(tmp_path: Path, seed: int) -> None:
    path = put(tmp_path, table(rows=5000))
    lines = path.read_text().splitlines()
    row = int(np.random.default_rng(seed).integers(1000, 5000))
    lines[row] = ",".join(["anna", "0", "1", "1", "1,5", "sit"])
    path.write_text("\n".join(lines))
    assert f"anna.csv, row {row + 1}: 7 cells where the header has 6" in refusal(tmp_path)


def _sensors(folder: Path, starts: list[float], order: list[int], restart: bool = False) -> None:
    """Two sensors with a delay of 5 ms, whose stretches begin at ``starts`` and are stored in ``order``."""
    for name, delay in (("acc", 0.0), ("gyr", 0.005)):
        parts = []
        for index in order:
            seconds = starts[index] + delay + np.arange(300) / RATE
            activity = np.repeat(["sit", "walk"][index % 2], 300)
            wave = np.sin(2 * np.pi * 0.5 * (seconds + (100 * index if restart else 0)))
            parts.append(pd.DataFrame({"timestamp": seconds.round(4), "v": wave.round(5), "activity": activity}))
        put(folder, pd.concat(parts).assign(subject="anna"), f"{name}.csv")
    channels = [{"name": name, "unit": "not stated", "sensor": None} for name in ("a", "g")]
    files = [{"pattern": "acc.csv", "columns": {"a": "v"}}, {"pattern": "gyr.csv", "columns": {"g": "v"}}]
    describe(folder, channels=channels, files=files)


@pytest.mark.parametrize("restart", [False, True])
def test_sensors_stay_together_where_their_clock_goes_back(tmp_path: Path, restart: bool) -> None:
    """Both channels are of one wave: they agree at every time if the clocks do."""
    starts = [0.0, 0.0, 0.0] if restart else [0.0, 100.0, 200.0]
    _sensors(tmp_path, starts, [1, 0, 2], restart)
    recording = one(tmp_path)
    assert len(recording.samples) >= 3 * 298
    assert np.abs(recording.samples[:, 0] - recording.samples[:, 1]).max() < 0.02
    assert (np.diff(recording.sample) > 1).sum() == 2
    assert minutes(recording)[0] == pytest.approx(600, abs=3)
    assert recording.mended["times that go back"] == (2 if restart else 1)


def test_an_empty_time_does_not_hide_that_the_clock_goes_back(tmp_path: Path) -> None:
    _sensors(tmp_path, [0.0, 0.0], [0, 1], restart=True)
    for name, row in (("acc", 40), ("gyr", 90)):
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        frame.loc[row, "timestamp"] = np.nan
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    recording = one(tmp_path)
    assert recording.mended["times that go back"] == 1
    assert np.abs(recording.samples[:, 0] - recording.samples[:, 1]).max() < 0.02


def test_sensors_whose_clocks_go_back_at_different_places_are_refused(tmp_path: Path) -> None:
    _sensors(tmp_path, [0.0, 0.0, 0.0], [0, 1, 2], restart=True)
    path = tmp_path / "gyr.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:601]))
    assert "the clock goes back, and at other places than in" in refusal(tmp_path)
