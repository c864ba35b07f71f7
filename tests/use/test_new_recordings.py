"""Unlabelled recordings of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_har.signals.recordings import BadRecordingError, Piece
from contrastive_har.signals.sensors import Channel
from contrastive_har.use.new_recordings import open_new_recordings

CHANNELS = (Channel(name="x", unit="g"), Channel(name="y", unit="g"))


def frame(rows: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"timestamp": np.arange(rows) / 50, "y": rng.standard_normal(rows), "note": "a", "x": rng.standard_normal(rows)}
    )


def read(path: Path, rows: int = 30) -> list[Piece]:
    return list(open_new_recordings(path, CHANNELS, rows))


@pytest.mark.parametrize(("suffix", "indexed"), [("csv", False), ("parquet", False), ("parquet", True)])
def test_a_file_comes_in_pieces_in_the_models_order(tmp_path: Path, suffix: str, indexed: bool) -> None:
    path = tmp_path / f"walk.{suffix}"
    table = frame().set_index("timestamp") if indexed else frame()
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    pieces = read(path)
    assert [len(piece.seconds) for piece in pieces] == [30, 30, 30, 10]
    assert [piece.row for piece in pieces] == ([2, 32, 62, 92] if suffix == "csv" else [1, 31, 61, 91])
    assert {piece.recording for piece in pieces} == {"walk"}
    np.testing.assert_allclose(np.concatenate([piece.samples for piece in pieces]), frame()[["x", "y"]])
    np.testing.assert_allclose(np.concatenate([piece.seconds for piece in pieces]), frame()["timestamp"])


def test_recordings_of_a_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    several = frame().assign(recording=["one"] * 45 + ["02"] * 55)
    several.to_csv(tmp_path / "a.csv", index=False)
    frame(10).to_parquet(tmp_path / "deep/b.parquet")
    pieces = read(tmp_path)
    assert [(piece.recording, len(piece.seconds)) for piece in pieces] == [
        ("one", 30),
        ("one", 15),
        ("02", 15),
        ("02", 30),
        ("02", 10),
        ("deep/b", 10),
    ]


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
    assert len(read(tmp_path)) == 4
    (tmp_path / "dataset.yml").write_text(same.replace("unit: g", "unit: m/s²"))
    with pytest.raises(BadRecordingError, match=r"channel 'x' is in m/s², the model expects g"):
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
        (lambda table: table.assign(x=[1.0] * 50 + [np.nan] + [1.0] * 49), r"a\.csv, row 52: channel 'x' is nan"),
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
    (tmp_path / "dataset.yml").write_text("channels: [{name: x, unit: m/s²}]\n")
    with pytest.raises(BadRecordingError, match=r"channel 'x' is in m/s², the model expects g"):
        read(tmp_path)
    (tmp_path / "dataset.yml").write_text("sampling_rate_hz: -1\n")
    with pytest.raises(BadRecordingError, match=r"dataset\.yml: sampling_rate_hz: .*greater than 0"):
        read(tmp_path)
