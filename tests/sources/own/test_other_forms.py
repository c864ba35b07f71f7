"""Files of further apps: understood as declared, or refused with a cure that works when it is followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.sources.own.describing import propose
from tests.sources.own.made import CHANNELS, RATE, ROWS, describe, ingest, minutes, one, put, refusal, table
from tests.sources.own.test_cases import HALVES, proposed

STAMPS = pd.Timestamp("2026-03-01 08:00:00") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")
COUNT = np.r_[np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS) + 100]  # with a gap in the middle


def follow(folder: Path, **declared: Any) -> dict[str, Any]:
    """Write what messages say until nothing is left out; return what is declared then."""
    for _ in range(4):
        describe(folder, **declared)
        _, rejected = ingest(folder)
        if not rejected:
            return declared
        declared |= proposed(rejected[0].reason)
    raise AssertionError(rejected)


def samples(frame: pd.DataFrame) -> list[str]:
    """Return the samples of each row as a line."""
    return [",".join(f"{value:.4f}" for value in row) for row in frame[list(CHANNELS)].to_numpy()]


@pytest.mark.parametrize(
    "form",
    [
        "%d.%m.%Y %H:%M:%S.%f",
        "%m/%d/%Y %I:%M:%S.%f %p",
        "%Y-%m-%d %H:%M:%S:%f",
        "%H:%M:%S.%f",
        "%H:%M:%S,%f",
        "%Y%m%d%H%M%S%f",
        "%Y-%m-%d %H:%M:%S.%f CET",
        "%a %b %d %H:%M:%S.%f UTC %Y",
    ],
)
def test_formats_of_dates_are_proposed(tmp_path: Path, form: str) -> None:
    times = (STAMPS + pd.Timedelta(days=20)).strftime(form)
    put(tmp_path, table().assign(timestamp=times.str[:17] if form == "%Y%m%d%H%M%S%f" else times))
    assert follow(tmp_path)["timestamp"]["format"] == form
    assert minutes(one(tmp_path)) == HALVES
    assert yaml.safe_load(propose(tmp_path))["timestamp"]["format"] == form


def test_days_and_months_that_cannot_be_told_apart_are_asked(tmp_path: Path) -> None:
    put(tmp_path, table().assign(timestamp=STAMPS.strftime("%m/%d/%Y %H:%M:%S.%f")))
    assert '"%d/%m/%Y %H:%M:%S.%f"}\' in dataset.yml, or "%m/%d/%Y %H:%M:%S.%f" as is meant' in refusal(tmp_path)
    assert "may be of the format %d/%m/%Y %H:%M:%S.%f or %m/%d/%Y %H:%M:%S.%f" in propose(tmp_path)


def test_midnight_is_no_step_of_times_of_day(tmp_path: Path) -> None:
    times = (STAMPS + pd.Timedelta(hours=15, minutes=59, seconds=54)).strftime("%H:%M:%S.%f")
    put(tmp_path, table().assign(timestamp=times))
    describe(tmp_path, timestamp={"column": "timestamp", "format": "%H:%M:%S.%f"})
    recording = one(tmp_path)
    assert (np.diff(recording.sample) == 1).all()
    assert recording.mended["midnights"] == 1


@pytest.mark.parametrize("name", ["Zähler", "PacketCounter", "SampleTimeFine"])
@pytest.mark.parametrize("tick", [1, 2, 20_000])
def test_clocks_of_any_name_and_unit_are_never_ignored(tmp_path: Path, name: str, tick: int) -> None:
    put(tmp_path, table().drop(columns="timestamp").assign(**{name: 7 + COUNT * tick}))
    assert f"'{name}' looks like time stamps" in refusal(tmp_path)
    follow(tmp_path)
    assert np.flatnonzero(np.diff(one(tmp_path).sample) != 1).tolist() == [ROWS // 2 - 1]


def test_the_count_of_rows_is_no_clock(tmp_path: Path) -> None:
    put(tmp_path, table().drop(columns="timestamp").assign(number=np.arange(ROWS)))
    assert not one(tmp_path).mended


def test_minutes_are_not_thousands_of_hertz(tmp_path: Path) -> None:
    put(tmp_path, table().assign(timestamp=np.arange(ROWS) / RATE / 60))
    assert follow(tmp_path) == {"timestamp": {"column": "timestamp", "unit": "min"}}
    assert minutes(one(tmp_path)) == HALVES


def test_of_date_and_time_the_one_that_changes_is_proposed(tmp_path: Path) -> None:
    frame = table().drop(columns="timestamp")
    put(tmp_path, frame.assign(date="2026-03-01", time=STAMPS.strftime("%H:%M:%S.%f")))
    assert follow(tmp_path)["timestamp"]["column"] == "time"


@pytest.mark.parametrize("lines", [0, 100])
def test_files_without_a_header_are_asked_for_one(tmp_path: Path, lines: int) -> None:
    rows = [f"{time.isoformat()[:23]},{row}" for time, row in zip(STAMPS, samples(table()), strict=True)]
    (tmp_path / "anna.csv").write_text("\n".join([*(f"Header {line},value" for line in range(lines)), *rows]))
    (tmp_path / "anna.csv").write_text((tmp_path / "anna.csv").read_text().replace("08:00:00,", "08:00:00.000,"))
    declared = follow(tmp_path, values={"subject": "anna"})
    assert declared["header"] == ["timestamp", *CHANNELS]
    assert len(one(tmp_path).samples) == ROWS
    proposal = yaml.safe_load(propose(tmp_path))
    assert [proposal.get("skip_lines", 0), len(proposal["header"])] == [lines, 4]


def test_a_line_of_units_is_named(tmp_path: Path) -> None:
    lines = put(tmp_path, table()).read_text().splitlines()
    (tmp_path / "anna.csv").write_text("\n".join([lines[0], "name,s,g,g,g,label", *lines[1:]]))
    assert "row 2: no numbers, as in a line of units" in refusal(tmp_path)
    follow(tmp_path)
    assert minutes(one(tmp_path)) == HALVES
    assert yaml.safe_load(propose(tmp_path))["skip_lines"] == 2


def test_blanks_may_separate_columns(tmp_path: Path) -> None:
    """As in aligned columns, where there are several, and some before the first."""
    lines = put(tmp_path, table().rename(columns={"subject": "  subject"})).read_text().splitlines()
    (tmp_path / "anna.csv").write_text("\n".join("   " + line.replace(",", "   ") + " " for line in lines))
    assert follow(tmp_path) == {"delimiter": " "}
    np.testing.assert_allclose(one(tmp_path).samples, table()[list(CHANNELS)], atol=1e-5)
    assert minutes(one(tmp_path)) == HALVES


def test_utf_32_and_lines_of_zeros(tmp_path: Path) -> None:
    path = put(tmp_path, table())
    text = path.read_text()
    path.write_bytes(text.encode("utf-32"))
    assert minutes(one(tmp_path)) == HALVES
    path.write_bytes(text.encode() + b"\0" * 2 * len(text))  # reserved by a logger that stopped
    assert f"row {ROWS + 2}: 1 cells" in refusal(tmp_path)


def test_a_cure_at_the_end_of_rows_is_not_proposed_in_their_middle(tmp_path: Path) -> None:
    put(tmp_path, table().assign(acc_x="0.1g"))
    assert "'0.1g' in column 'acc_x' is not a number. Correct it" in refusal(tmp_path)


def test_rows_of_several_sensors_are_not_mixed(tmp_path: Path) -> None:
    gyroscope = table().assign(sensor="GYR", acc_x=0.1, acc_y=0.2, acc_z=0.3, timestamp=table()["timestamp"] + 0.003)
    put(tmp_path, pd.concat([table().assign(sensor="ACC"), gyroscope]).sort_values("timestamp"))
    assert "column 'sensor' alternates between 'ACC' and 'GYR'" in refusal(tmp_path)


def test_tables_with_fewer_numbers_than_channels_do_not_stop_the_others(tmp_path: Path) -> None:
    names = {name: f"Acceleration {name[-1]} (g)" for name in CHANNELS}
    put(tmp_path, table().rename(columns=names))
    put(tmp_path, pd.DataFrame({"event": ["START", "STOP"], "time": [0.0, 12.0], "system": [1.0, 13.0]}), "meta.csv")
    describe(tmp_path, columns=names)
    (recording,), (other,) = ingest(tmp_path)
    assert minutes(recording) == HALVES
    assert other.passed_over


@pytest.mark.parametrize("folder", ["anna", "ben"])
def test_who_it_is_is_not_said_twice(tmp_path: Path, folder: str) -> None:
    put(tmp_path, table(), f"{folder}.csv")
    describe(tmp_path, pattern="{subject}.csv")
    assert "'subject' is said by the name of the file and by column 'subject'" in refusal(tmp_path)
    follow_up = {"pattern": "{subject}.csv", "ignored": ["subject"]}
    describe(tmp_path, **follow_up)
    assert one(tmp_path).subject == folder


def test_columns_without_any_sample_or_time_are_named(tmp_path: Path) -> None:
    put(tmp_path, table().assign(acc_x=np.nan))
    assert "no numbers in the column of 'acc_x'" in refusal(tmp_path)
    put(tmp_path, table().assign(timestamp=""))
    assert "no row has a time" in refusal(tmp_path)


def test_two_per_cent_of_impossible_samples_of_an_unknown_unit(tmp_path: Path) -> None:
    put(tmp_path, table().assign(acc_x=table()["acc_x"].where(np.arange(ROWS) % 50 != 3, 9999)))
    describe(tmp_path, channels=[{"name": name, "unit": "counts"} for name in CHANNELS])
    assert one(tmp_path).mended["impossible samples, the first in row 5: acc_x = 9999"] == ROWS // 50


def test_synonyms_are_no_codes_of_others(tmp_path: Path) -> None:
    put(tmp_path, table())
    describe(tmp_path, synonyms={1: "sit"})
    with pytest.raises(ValueError, match="synonyms: '1' is said to be 'sit', but 'activities' has it too"):
        ingest(tmp_path)


def test_a_description_of_nearly_the_right_name_is_not_ignored(tmp_path: Path) -> None:
    put(tmp_path, table())
    (tmp_path / "dataset.yml").rename(tmp_path / "dataset.yaml")
    with pytest.raises(ValueError, match=r"dataset\.yaml: rename it to dataset\.yml"):
        ingest(tmp_path)
