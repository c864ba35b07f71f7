"""A first look at folders of recordings: what it proposes is understood, and nothing of it is written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.__main__ import main
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.describing import propose, write_proposal
from tests.sources.own.made import CHANNELS, RATE, ROWS, describe, ingest, minutes, put, table

HALVES = {0: ROWS // 2, 1: ROWS // 2}
DATES = pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(np.arange(ROWS) / RATE, unit="s")


def _metres(frame: pd.DataFrame) -> pd.DataFrame:
    frame[list(CHANNELS)] *= 9.80665
    return frame.rename(columns={name: f"Acc {name[-1]} (m/s^2)" for name in CHANNELS})


MADE: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "plain": lambda f, to: f.to_csv(to, index=False),
    "milliseconds": lambda f, to: f.assign(timestamp=np.arange(ROWS) * 20).to_csv(to, index=False),
    "nanoseconds since 1970": lambda f, to: f.assign(timestamp=DATES.astype("int64")).to_csv(to, index=False),
    "days of a spreadsheet": lambda f, to: f.assign(timestamp=46053.5 + np.arange(ROWS) / RATE / 86400).to_csv(
        to, index=False
    ),
    "dates": lambda f, to: f.assign(timestamp=DATES).to_csv(to, index=False),
    "whole seconds": lambda f, to: f.assign(timestamp=DATES.floor("s")).to_csv(to, index=False),
    "other names": lambda f, to: f.rename(
        columns={"subject": "User", "timestamp": "Time (s)", "activity": "Label", "acc_x": "Acc X", "acc_y": "Acc Y"}
    ).to_csv(to, index=False),
    "units in names": lambda f, to: _metres(f).to_csv(to, index=False),
    "semicolons and commas": lambda f, to: f.to_csv(to, index=False, sep=";", decimal=","),
    "UTF-16": lambda f, to: f.to_csv(to, index=False, encoding="utf-16"),
    "Latin-1": lambda f, to: f.assign(subject="Zoë").to_csv(to, index=False, encoding="latin-1"),
    "a header of ten lines": lambda f, to: to.write_text("--- logger\n" * 10 + f.to_csv(index=False)),
    "semicolons at the end": lambda f, to: to.write_text(
        f[["subject", "activity", "timestamp", *CHANNELS]].to_csv(index=False).replace("\n", ";\n").replace(";", "", 1)
    ),
    "codes": lambda f, to: f.assign(activity=f["activity"].map({"sit": 0, "walk": 1})).to_csv(to, index=False),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_is_proposed_is_understood(tmp_path: Path, kind: str) -> None:
    MADE[kind](table(), tmp_path / "anna.csv")
    (tmp_path / "dataset.yml").write_text(propose(tmp_path))
    (recording,), rejected = ingest(tmp_path)
    assert not rejected
    assert minutes(recording) == HALVES
    scale = 9.80665 if kind == "units in names" else 1.0
    np.testing.assert_allclose(recording.samples, table()[list(CHANNELS)] * scale, atol=1e-3)


@pytest.mark.parametrize(
    "names", [("anna", "ben"), ("anna/session1", "anna/session2", "ben/session1", "ben/session2"), ("armin", "carl")]
)
def test_files_of_people_and_sessions_are_not_taken_for_sensors(tmp_path: Path, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        put(tmp_path, table(seed=index).drop(columns="subject"), f"{name}.csv")
    (tmp_path / "dataset.yml").unlink()
    (tmp_path / "dataset.yml").write_text(propose(tmp_path))
    proposed = yaml.safe_load((tmp_path / "dataset.yml").read_text())
    assert "files" not in proposed
    assert len(proposed["channels"]) == len(CHANNELS)
    found, rejected = ingest(tmp_path)
    assert not rejected
    assert len(found) == len(names)


@pytest.mark.parametrize("unit", ["dates", "seconds"])
def test_the_start_of_many_intervals_is_not_their_end(tmp_path: Path, unit: str) -> None:
    put(tmp_path, table().drop(columns="activity").assign(**({"timestamp": DATES} if unit == "dates" else {})))
    starts = np.arange(24) * 0.5
    columns = {"start": starts, "end": starts + 0.5, "activity": ["sit", "walk"] * 12}
    if unit == "dates":
        for name in ("start", "end"):
            columns[name] = DATES[0] + pd.to_timedelta(columns[name], unit="s")
    pd.DataFrame(columns).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "dataset.yml").unlink()
    (tmp_path / "dataset.yml").write_text(propose(tmp_path))
    recordings, rejected = ingest(tmp_path)
    assert not rejected
    assert minutes(recordings[0]) == HALVES


def test_sensors_in_files_of_their_own(tmp_path: Path) -> None:
    stamps = 1_767_620_467_350_470_700 + np.arange(ROWS) * 20_000_000
    for index, name in enumerate(("one", "two")):
        frame = table(seed=index)
        axes = {axis: frame[f"acc_{axis}"] for axis in "zyx"}
        put(
            tmp_path,
            pd.DataFrame({"time": stamps, "seconds_elapsed": 0.02 * np.arange(ROWS), **axes}),
            f"{name}/Accelerometer.csv",
        )
        put(
            tmp_path,
            pd.DataFrame({"time": stamps, **{axis: 0.1 * values for axis, values in axes.items()}}),
            f"{name}/Gyroscope.csv",
        )
        labels = pd.DataFrame({"time": stamps[[0, 300]], "seconds_elapsed": [0.0, 6.0], "text": ["sit", "walk"]})
        put(tmp_path, labels, f"{name}/Annotation.csv")
        put(tmp_path, pd.DataFrame({"version": [1.47], "device": ["phone"]}), f"{name}/Metadata.csv")
    text = propose(tmp_path)
    assert "No column says who was recorded" in text
    content = yaml.safe_load(text)
    content["values"] = {"subject": "anna"}
    (tmp_path / "dataset.yml").write_text(yaml.safe_dump(content))
    found, others = ingest(tmp_path)
    assert {other.passed_over for other in others} == {True}
    assert [recording.name for recording in found] == ["one", "two"]
    assert minutes(found[0]) == HALVES
    np.testing.assert_allclose(found[1].samples[:, 3:], 0.1 * found[1].samples[:, :3], atol=1e-6)


def test_files_in_other_units_are_named(tmp_path: Path) -> None:
    for index in range(3):
        frame = table(f"s{index}", index)
        frame[list(CHANNELS)] *= 9.80665 if index == 1 else 1
        put(tmp_path, frame, f"s{index}.csv")
    assert "s1.csv: 'acc_x' seems to be in m/s², not in g" in propose(tmp_path)


def test_channels_of_one_name_are_told_apart(tmp_path: Path) -> None:
    table().rename(columns={"acc_x": "Acc-x", "acc_y": "Acc x", "acc_z": "acc_x"}).to_csv(
        tmp_path / "a.csv", index=False
    )
    (tmp_path / "dataset.yml").write_text(propose(tmp_path))
    (recording,), rejected = ingest(tmp_path)
    assert not rejected
    np.testing.assert_allclose(recording.samples, table()[list(CHANNELS)], atol=1e-3)


def test_one_sample_a_second_is_not_one_a_millisecond(tmp_path: Path) -> None:
    table().assign(timestamp=np.arange(ROWS)).to_csv(tmp_path / "a.csv", index=False)
    proposed = yaml.safe_load(propose(tmp_path))
    assert proposed["sampling_rate_hz"] == 1
    assert "intervals" not in proposed


def test_a_file_of_intervals_in_seconds_is_found(tmp_path: Path) -> None:
    table().drop(columns="activity").to_csv(tmp_path / "day.csv", index=False)
    end = ROWS / RATE
    spans = pd.DataFrame({"start": [0.0, end / 2], "end": [end / 2, end], "activity": ["sit", "walk"]})
    spans.to_csv(tmp_path / "labels.csv", index=False)
    text = propose(tmp_path)
    assert yaml.safe_load(text)["intervals"]["columns"].get("end", "end") == "end"
    (tmp_path / "dataset.yml").write_text(text)
    (recording,), rejected = ingest(tmp_path)
    assert not rejected
    assert sum(minutes(recording).values()) >= ROWS - 1


def test_nothing_is_written_over(tmp_path: Path) -> None:
    put(tmp_path, table())
    describe(tmp_path)
    before = (tmp_path / "dataset.yml").read_text()
    assert "exists and is left as it is" in write_proposal(tmp_path, propose(tmp_path))
    assert (tmp_path / "dataset.yml").read_text() == before


def test_what_cannot_be_read_is_listed(tmp_path: Path) -> None:
    put(tmp_path, table())
    (tmp_path / "broken.csv").write_text("")
    (tmp_path / "notes.docx").write_bytes(b"PK")
    text = propose(tmp_path)
    assert "# broken.csv: the file is empty" in text
    assert "# notes.docx: passed over" in text
    with pytest.raises(BadRecordingError, match="no such folder"):
        propose(tmp_path / "nowhere")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, table())
    (tmp_path / "dataset.yml").unlink()
    monkeypatch.setattr("sys.argv", ["contrastive-har", "describe", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert "Written: " in capsys.readouterr().out
    (recording,), _ = ingest(tmp_path)
    assert minutes(recording) == HALVES
    monkeypatch.setattr("sys.argv", ["contrastive-har", "describe", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="no such folder"):
        main()
