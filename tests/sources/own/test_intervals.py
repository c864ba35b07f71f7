"""Files of intervals of other forms and clocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_har.sources.own.settings import Timestamp
from contrastive_har.sources.own.times import are_local, to_seconds
from tests.sources.own.made import ROWS, describe, ingest, minutes, one, put, table
from tests.sources.own.test_cases import HALVES

UNLABELLED = table().drop(columns="activity")


def lay(folder: Path, text: str, frame: pd.DataFrame = UNLABELLED, **intervals: Any) -> None:
    """Write a recording and its intervals."""
    put(folder, frame)
    (folder / "labels.csv").write_text(text)
    describe(folder, intervals={"pattern": "labels.csv", **intervals})


def reason(folder: Path) -> str:
    """Return why the only recording, or the file of intervals, is refused; nothing is taken."""
    found, rejected = ingest(folder)
    assert not found
    return rejected[0].reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start,duration,activity\n0,4,sit\n6,4,walk\n", {-1: 200, 0: 200, 1: 200}),
        ("start,end,activity\n0,3,sit\n4,,walk\n8,9,sit\n", {-1: 200, 0: 200, 1: 200}),
        ("subject,start,end,activity\nanna,0,6,sit\nanna,6,12,walk\nben,0,12,walk\n", HALVES),
    ],
)
def test_forms_that_are_understood(tmp_path: Path, text: str, expected: dict[int, int]) -> None:
    lay(tmp_path, text)
    assert minutes(one(tmp_path)) == expected


def test_durations_have_the_unit_of_their_name(tmp_path: Path) -> None:
    text = "start,duration (ms),activity\n0,4000,sit\n6,4000,walk\n"
    lay(tmp_path, text)
    assert "'duration (ms)' looks like the duration of intervals" in reason(tmp_path)
    lay(tmp_path, text, columns={"duration": "duration (ms)"})
    assert minutes(one(tmp_path)) == {-1: 200, 0: 200, 1: 200}


@pytest.mark.parametrize(
    ("start", "unit", "cure"),
    [
        (0.0, 1000, {"timestamp": {"unit": "ms"}}),
        (1e9, 1, {"relative": True}),
    ],
)
def test_times_of_another_clock_are_refused_with_a_cure(
    tmp_path: Path, start: float, unit: int, cure: dict[str, Any]
) -> None:
    text = f"start,end,activity\n0,{6 * unit},sit\n{6 * unit},{12 * unit},walk\n"
    frame = UNLABELLED.assign(timestamp=UNLABELLED["timestamp"] + start)
    lay(tmp_path, text, frame)
    message = reason(tmp_path)
    assert "intervals have no sample" in message
    ((key, value),) = cure.items()
    assert (f"{key}: true" if value is True else f"{key}: {{unit: ms}}") in message
    lay(tmp_path, text, frame, **cure)
    assert minutes(one(tmp_path)) == HALVES


@pytest.mark.parametrize("are_numbers", [False, True])
def test_clocks_some_hours_apart_are_named_with_a_cure(tmp_path: Path, are_numbers: bool) -> None:
    times = pd.Timestamp("2026-03-01 08:00") + pd.to_timedelta(np.arange(ROWS) / 50, unit="s")
    frame = UNLABELLED.assign(timestamp=times)
    hour = "2026-03-01T07:00"
    text = f"start,end,activity\n{hour}:00,{hour}:06,sit\n{hour}:06,{hour}:12,walk\n"
    if are_numbers:  # seconds since 1970, which no time zone changes: that of the recordings does
        text = re.sub(rf"{hour}:(\d\d)", lambda found: str(1_772_348_400 + int(found[1])), text)
    lay(tmp_path, text, frame)
    message = reason(tmp_path)
    assert "as their clocks are 1 h apart" in message
    assert ("'timestamp: {timezone: ...}' of the recordings in dataset.yml if" in message) == are_numbers
    assert ("under 'intervals'" in message) != are_numbers
    if are_numbers:
        describe(tmp_path, intervals={"pattern": "labels.csv"}, timestamp={"timezone": "Europe/Berlin"})
        assert minutes(one(tmp_path)) == HALVES


def test_recordings_without_time_stamps_have_intervals_from_their_beginning(tmp_path: Path) -> None:
    text = "start,end,activity\n00:00:00,00:00:06,sit\n00:00:06,00:00:12,walk\n"
    how = {"relative": True, "timestamp": {"format": "%H:%M:%S"}}
    lay(tmp_path, text, UNLABELLED.drop(columns="timestamp"), **how)
    assert minutes(one(tmp_path)) == HALVES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,offset,activity\n0,6,sit\n", "'offset' looks like the end of intervals"),
        ("User,start,end,activity\nanna,0,6,sit\n", "'User' looks like the subject of intervals"),
        ("Session,start,end,activity\nanna,0,6,sit\n", "'Session' looks like the recording of intervals"),
        ("start,status,activity\n0,START,sit\n4,STOP,sit\n", "says in rows of their own when intervals start and end"),
        ("start,end,activity\n0,6,sit\n5,9,walk\n", "row 2: overlaps with the next interval"),
        ("subject,start,end,activity\nanna,0,6,sit\n,5,9,walk\n", "row 2: overlaps with another interval for"),
        ("subject,start,end,activity\nNone,0,6,sit\n", "labels.csv, row 2: 'subject' is empty. Fill it in"),
        ("start,duration_ms,activity\n0,6000,sit\n", "'duration_ms' looks like the duration of intervals"),
        ("start,end_time_s,activity\n0,6,sit\n", "'end_time_s' looks like the end of intervals"),
        ("start,end,activity\n1.5.2026 8:00,,sit\n", "row 2: '1.5.2026 8:00' is not a time"),
        ("0.0\t6.0\tsit\n6.0\t12.0\twalk\n", "has no header. Write 'delimiter: \"\\t\"', 'header: [column_1"),
    ],
)
def test_what_is_not_clear_is_asked_and_loses_no_activity(tmp_path: Path, text: str, message: str) -> None:
    lay(tmp_path, text)
    assert message in reason(tmp_path)


@pytest.mark.parametrize("column", ["duration_ms", "duration (ms)", "duration[ms]", "duration (ms) of it"])
def test_durations_have_the_unit_at_the_end_of_their_name(tmp_path: Path, column: str) -> None:
    text = f"start,{column},activity\n0,6000,sit\n6,6000,walk\n"
    lay(tmp_path, text, columns={"duration": column})
    assert minutes(one(tmp_path)) == HALVES


def test_one_column_is_not_both_start_and_end(tmp_path: Path) -> None:
    lay(tmp_path, "end,activity\n0,sit\n6,walk\n", columns={"start": "end"})
    assert "'end' is both start and end of intervals" in reason(tmp_path)


def test_times_of_day_that_pass_midnight_need_dates(tmp_path: Path) -> None:
    frame = UNLABELLED.assign(
        timestamp=(pd.Timestamp("2026-01-01T10:00") + pd.to_timedelta(UNLABELLED["timestamp"], "s"))
    )
    frame["timestamp"] = frame["timestamp"].dt.strftime("%H:%M:%S.%f")
    form = {"timestamp": {"format": "%H:%M:%S.%f"}}
    for text, message in (
        ("23:59:45.0,00:00:15.0,walk", "If it goes on past midnight, write times with their dates"),
        ("23:59:45.0,,walk\n00:00:15.0,,sit", "row 3: begins earlier in the day than the row before"),
    ):
        put(tmp_path, frame)
        (tmp_path / "labels.csv").write_text(f"start,end,activity\n{text}\n")
        describe(tmp_path, **form, intervals={"pattern": "labels.csv"})
        assert message in reason(tmp_path)


def test_numbers_as_times_of_intervals_beside_dates_of_recordings(tmp_path: Path) -> None:
    """As the page for labels writes them: seconds since 1970."""
    begin = pd.Timestamp("2026-01-31T12:00:00")
    stamps = begin + pd.to_timedelta(UNLABELLED["timestamp"], "s")
    put(tmp_path, UNLABELLED.assign(timestamp=stamps.dt.strftime("%d.%m.%Y %H:%M:%S.%f")))
    first = begin.timestamp()
    (tmp_path / "labels.csv").write_text(
        f"start,end,activity\n{first},{first + 6},sit\n{first + 6},{first + 12},walk\n"
    )
    intervals = {"pattern": "labels.csv", "timestamp": {"unit": "s"}}
    describe(tmp_path, timestamp={"format": "%d.%m.%Y %H:%M:%S.%f"}, intervals=intervals)
    assert minutes(one(tmp_path)) == HALVES


def test_an_unknown_subject_is_named(tmp_path: Path) -> None:
    frame = UNLABELLED.drop(columns="subject")
    put(tmp_path, frame)
    (tmp_path / "labels.csv").write_text("subject,start,end,activity\nAnna,0,6,sit\n")
    describe(tmp_path, values={"subject": "anna"}, intervals={"pattern": "labels.csv"})
    _, rejected = ingest(tmp_path)
    assert "row 2: no subject 'Anna'. There are: anna. Correct the name." in rejected[0].reason


def test_subjects_of_intervals_are_known_by_either_name(tmp_path: Path) -> None:
    put(tmp_path, UNLABELLED.drop(columns="subject"))
    (tmp_path / "labels.csv").write_text("subject,start,end,activity\nP1,0,6,sit\nanna,6,12,walk\n")
    describe(tmp_path, values={"subject": "P1"}, subjects={"P1": "anna"}, intervals={"pattern": "labels.csv"})
    assert minutes(one(tmp_path)) == HALVES


def test_what_is_left_out_is_a_gap_without_time_stamps_too(tmp_path: Path) -> None:
    frame = UNLABELLED.drop(columns="timestamp").assign(activity=np.repeat(["sit", "transport", "sit"], 200))
    put(tmp_path, frame)
    describe(tmp_path, left_out=["transport"])
    recording = one(tmp_path)
    assert len(recording.sample) == 400
    assert (np.diff(recording.sample) > 1).sum() == 1
    assert recording.sample[200] - recording.sample[199] == 201


def test_a_year_at_the_end_is_no_offset(tmp_path: Path) -> None:
    stamps = pd.Timestamp("2026-03-01T10:00:00") + pd.to_timedelta(UNLABELLED["timestamp"], "s")
    put(tmp_path, table().assign(timestamp=stamps.dt.strftime("%H:%M:%S.%f %d-%m-%Y")))
    describe(tmp_path, timestamp={"format": "%H:%M:%S.%f %d-%m-%Y", "timezone": "Europe/Berlin"})
    texts = pd.Series(["10:00:00.00 01-03-2026"])
    how = Timestamp(format="%H:%M:%S.%f %d-%m-%Y", timezone="Europe/Berlin")
    assert to_seconds(texts, how, str)[0] == pd.Timestamp("2026-03-01T10:00", tz="Europe/Berlin").timestamp()
    assert are_local(texts)
    assert not are_local(pd.Series(["2026-03-01T10:00:00.5+0100"]))
    assert minutes(one(tmp_path)) == HALVES


def test_a_column_of_activities_beside_intervals_is_not_ignored(tmp_path: Path) -> None:
    lay(tmp_path, "start,end,activity\n0,6,walk\n6,12,sit\n", table())
    assert "'activity' is said by 'intervals' and by column 'activity'" in reason(tmp_path)
