"""Unlabelled recordings of any length."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_har.signals.recordings import BadRecordingError, Piece, Rejection
from contrastive_har.signals.sensors import Channel
from contrastive_har.use.new_recordings import open_new_recordings

CHANNELS = (Channel(name="x", unit="g"), Channel(name="y", unit="g"))


def frame(rows: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"timestamp": np.arange(rows) / 50, "y": rng.standard_normal(rows), "note": "a", "x": rng.standard_normal(rows)}
    )


def read(path: Path) -> list[Piece]:
    return [one for one in open_new_recordings(path, CHANNELS, 50, 0.25) if isinstance(one, Piece)]


@pytest.mark.parametrize(("suffix", "indexed"), [("csv", False), ("parquet", False), ("parquet", True)])
def test_a_file_comes_in_pieces_in_the_models_order(tmp_path: Path, suffix: str, indexed: bool) -> None:
    path = tmp_path / f"walk.{suffix}"
    table = frame().set_index("timestamp") if indexed else frame()
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    pieces = read(path)
    assert pieces[0].row == (2 if suffix == "csv" else 1)
    assert {piece.recording for piece in pieces} == {"walk"}
    np.testing.assert_allclose(np.concatenate([piece.samples for piece in pieces]), frame()[["x", "y"]])
    np.testing.assert_allclose(np.concatenate([piece.seconds for piece in pieces]), frame()["timestamp"])


def test_the_result_does_not_depend_on_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = frame(5000)
    table.loc[100:103, "x"] = np.nan
    table.loc[700:, "timestamp"] += 3.0
    table = table.drop(index=[1000, 1001, 2500])
    table.to_csv(tmp_path / "a.csv", index=False)
    whole = read(tmp_path)
    monkeypatch.setattr("contrastive_har.sources.own.text_tables._BLOCK", 4096)
    parts = read(tmp_path)
    assert len(parts) > 10 > len(whole)
    for of in ("seconds", "samples"):
        np.testing.assert_array_equal(*(np.concatenate([getattr(p, of) for p in some]) for some in (whole, parts)))


def test_recordings_of_a_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    several = frame().assign(recording=["one"] * 45 + ["02"] * 55)
    several.to_csv(tmp_path / "a.csv", index=False)
    frame(10).to_parquet(tmp_path / "deep/b.parquet")
    counts: dict[str, int] = {}
    for piece in read(tmp_path):
        counts[piece.recording] = counts.get(piece.recording, 0) + len(piece.seconds)
    assert counts == {"one": 45, "02": 55, "deep/b": 10}


def test_recordings_whose_rows_alternate_are_refused(tmp_path: Path) -> None:
    """Their clocks would begin anew at every change."""
    frame().assign(recording=["one", "two"] * 50).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(
        BadRecordingError, match=r"a\.csv, row 4: recording 'one' continues after others\. Sort the rows"
    ):
        read(tmp_path)


def test_a_declared_rate_stands_in_for_time_stamps(tmp_path: Path) -> None:
    frame().drop(columns="timestamp").to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "dataset.yml").write_text("sampling_rate_hz: 25\nchannels: [{name: x, unit: g}]\n")
    pieces = read(tmp_path / "a.csv")
    assert pieces[0].sampling_rate_hz == 25
    np.testing.assert_allclose(np.concatenate([piece.seconds for piece in pieces]), np.arange(100) / 25)


def test_units_by_modality_are_compared_too(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    same = "modalities: {inertial: {hand: {unit: g, channels: [x, y]}}}\n"
    (tmp_path / "dataset.yml").write_text(same)
    before = np.concatenate([piece.samples for piece in read(tmp_path)])
    (tmp_path / "dataset.yml").write_text(same.replace("unit: g", "unit: m/s²"))
    after = np.concatenate([piece.samples for piece in read(tmp_path)])
    np.testing.assert_allclose(after, before / 9.80665)
    (tmp_path / "dataset.yml").write_text(same.replace("unit: g", "unit: rad/s"))
    with pytest.raises(BadRecordingError, match=r"channel 'x' is in rad/s, the model expects g"):
        read(tmp_path)


def test_dates_are_times(tmp_path: Path) -> None:
    dates = pd.Timestamp("2026-01-31T12:00:00") + pd.to_timedelta(frame()["timestamp"], unit="s")
    frame().assign(timestamp=dates).to_csv(tmp_path / "a.csv", index=False)
    pieces = read(tmp_path)
    np.testing.assert_allclose(np.diff(np.concatenate([piece.seconds for piece in pieces])), 1 / 50, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="x"), r"a\.csv: no column 'x'\. The model needs x, y"),
        (lambda table: table.drop(columns="timestamp"), r"a\.csv: no column 'timestamp', and no dataset\.yml"),
        (lambda table: table.assign(x=["1"] * 50 + ["oops"] + ["1"] * 49), r"a\.csv, row 52: 'oops' in column 'x'"),
        (lambda table: table.assign(timestamp="noon"), r"a\.csv, row 2: 'noon' is not a time"),
        (lambda table: table.iloc[:0], r"a\.csv: no samples"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, change: object, message: str) -> None:
    change(frame()).to_csv(tmp_path / "a.csv", index=False)  # type: ignore[operator]
    with pytest.raises(BadRecordingError, match=message):
        read(tmp_path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecordingError, match=r"nowhere: no such file or folder.*recordings=PATH"):
        read(tmp_path / "nowhere")
    with pytest.raises(BadRecordingError, match="no CSV or Parquet file"):
        read(tmp_path)
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(BadRecordingError, match=r"a\.csv: the file is empty"):
        read(tmp_path)
    (tmp_path / "a.csv").unlink()
    dated = frame().assign(timestamp=lambda table: pd.to_datetime(table["timestamp"], unit="s"))
    dated.set_index("timestamp").rename_axis(None).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(BadRecordingError, match=r"a\.parquet: times are its index, which has no name"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 is no Parquet")
    with pytest.raises(BadRecordingError, match=r"a\.parquet: cannot be read"):
        read(tmp_path)
    (tmp_path / "dataset.yml").write_text("sampling_rate_hz: -1\n")
    with pytest.raises(BadRecordingError, match=r"dataset\.yml: sampling_rate_hz: .*greater than 0"):
        read(tmp_path)


def test_sensors_in_files_of_their_own_are_joined_in_the_models_units(tmp_path: Path) -> None:
    seconds = np.arange(500) / 50
    for name, channel, delay, scale in (("hand", "x", 0.0, 9.80665), ("foot", "y", 0.004, 1.0)):
        wave = scale * np.sin(2 * np.pi * 0.5 * (seconds + delay))
        pd.DataFrame({"t": (seconds + delay) * 1000, channel: wave}).to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "Metadata.csv").write_text("version\n1\n")
    (tmp_path / "dataset.yml").write_text(
        "timestamp: {column: t, unit: ms}\n"
        "files: [{pattern: hand.csv, units: {x: m/s²}}, {pattern: foot.csv}]\n"
        "channels: [{name: x, unit: g}, {name: y, unit: g}]\n"
    )
    (piece,) = read(tmp_path)
    assert len(piece.seconds) >= 498
    assert np.abs(piece.samples[:, 0] - piece.samples[:, 1]).max() < 0.02
    assert np.abs(piece.samples).max() == pytest.approx(1, abs=0.01)


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    frame().drop(columns="x").to_csv(tmp_path / "b.csv", index=False)
    (tmp_path / "Metadata.csv").write_text("version\n1\n")
    frame().to_csv(tmp_path / "z.csv", index=False)
    found = list(open_new_recordings(tmp_path, CHANNELS, 50, 0.25))
    assert list(dict.fromkeys(one.recording for one in found if isinstance(one, Piece))) == ["a", "z"]
    left_out = [one for one in found if not isinstance(one, Piece)]
    assert [(one.recording, one.passed_over) for one in left_out] == [("Metadata", True), ("b", False)]


def test_a_recording_of_the_name_of_another_files_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        frame().assign(recording="1").to_csv(tmp_path / f"{name}.csv", index=False)
    *pieces, rejection = open_new_recordings(tmp_path, CHANNELS, 50, 0.25)
    assert {piece.file.name for piece in pieces if isinstance(piece, Piece)} == {"a.csv"}
    assert isinstance(rejection, Rejection)
    assert re.search(r"b.csv: a recording named '1' is also in .*a.csv", rejection.reason)
    assert rejection.file == tmp_path / "b.csv"


def test_names_of_a_file_that_is_left_out_are_free(tmp_path: Path) -> None:
    several = pd.concat([frame().assign(recording="1"), frame().assign(recording="2"), frame().assign(recording="1")])
    several.to_csv(tmp_path / "a.csv", index=False)
    frame().assign(recording="1").to_csv(tmp_path / "b.csv", index=False)
    found = list(open_new_recordings(tmp_path, CHANNELS, 50, 0.25))
    assert [one.file for one in found if isinstance(one, Rejection)] == [tmp_path / "a.csv"]
    assert {one.recording for one in found if isinstance(one, Piece) and one.file == tmp_path / "b.csv"} == {"1"}


def test_wrong_units_of_time_and_batches_are_refused_with_a_cure(tmp_path: Path) -> None:
    frame().assign(timestamp=np.arange(100) * 20).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(BadRecordingError, match=r"the model learned from 50 Hz\. Write 'timestamp: .* unit: ms}'"):
        read(tmp_path)
    (tmp_path / "dataset.yml").write_text("timestamp: {column: timestamp, unit: ms}\n")
    np.testing.assert_allclose(np.concatenate([piece.seconds for piece in read(tmp_path)]), np.arange(100) / 50)
    (tmp_path / "dataset.yml").unlink()
    frame().assign(timestamp=np.arange(100) // 50).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(BadRecordingError, match="batches: spread"):
        read(tmp_path)
    (tmp_path / "dataset.yml").write_text("timestamp: {batches: spread}\n")
    np.testing.assert_allclose(np.concatenate([piece.seconds for piece in read(tmp_path)]), np.arange(100) / 50)


@pytest.mark.parametrize("typical", [None, np.random.default_rng(0).standard_normal((200, 2))])
def test_impossible_samples_of_unknown_units_are_found_by_what_the_model_knows(
    tmp_path: Path, typical: np.ndarray | None
) -> None:
    channels = tuple(Channel(name=name, unit="counts") for name in "xy")
    table = frame()
    table.loc[40, "x"] = 1e30
    table.to_csv(tmp_path / "a.csv", index=False)
    pieces = [one for one in open_new_recordings(tmp_path, channels, 50, 0.25, typical) if isinstance(one, Piece)]
    samples = np.concatenate([piece.samples for piece in pieces])
    between = (frame()["x"][39] + frame()["x"][41]) / 2
    assert samples[40, 0] == pytest.approx(between if typical is not None else 1e30)


def test_samples_that_are_impossible_as_a_rule_are_refused_with_the_unit(tmp_path: Path) -> None:
    channels = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")
    table = pd.DataFrame({"timestamp": np.arange(100) / 50, "acc_x": 1.0, "acc_y": 2.0, "acc_z": 1000.0})
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(BadRecordingError, match=r"Write 'units: \{acc: mg\}' in dataset\.yml"):
        list(open_new_recordings(tmp_path, channels, 50, 0.25))


def test_a_clock_that_begins_anew_has_the_rate_of_its_steps(tmp_path: Path) -> None:
    table = frame()
    table["timestamp"] = np.concatenate([np.arange(50), np.arange(50)]) / 50
    table.to_csv(tmp_path / "a.csv", index=False)
    seconds = np.concatenate([piece.seconds for piece in read(tmp_path)])
    np.testing.assert_allclose(np.delete(np.diff(seconds), 49), 1 / 50)
    assert np.diff(seconds)[49] > 0.25


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (
            "# made by an app\ntimestamp;x;y\n0,00;0,1;0,2\n0,02;0,1;0,2\n",
            "skip_lines: 1', 'delimiter: \";\"', 'decimal",
        ),
        ("0.00,0.1,0.2\n0.02,0.1,0.2\n0.04,0.1,0.2\n", "has no header"),
        ("timestamp,x,y\n0.00,0.1,0.2\n0.02," + "9" * 2_000_000 + ",oops\n", "row 3: a cell of more than 1 MB"),
    ],
)
def test_files_of_another_form_have_the_cures_of_training_data(tmp_path: Path, text: str, cure: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BadRecordingError, match=re.escape(cure)):
        read(tmp_path)
