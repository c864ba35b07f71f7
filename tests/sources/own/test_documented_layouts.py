"""The three layouts of docs/your_data.md, with the descriptions that stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sources.own.made import ROWS, ingest, minutes, put, table

TEXT = (Path(__file__).parents[3] / "docs/your_data.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str) -> list[str]:
    """Return the code blocks below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_one_tidy_file(tmp_path: Path) -> None:
    heading = "One tidy file, or one for each recording"
    description, further = blocks(heading, "yaml")
    names = TEXT.partition(f"## {heading}")[2].partition("subject,")[2].splitlines()[0].split(",")
    names = ["subject", *names]
    for index, subject in enumerate(("anna", "ben")):
        frame = table(subject, index).replace({"sit": "squat", "walk": "lunge"})
        assert list(frame.columns) == names
        put(tmp_path, frame, f"{subject}.csv")
    (tmp_path / "dataset.yml").write_text(description)
    found, rejected = ingest(tmp_path)
    assert [recording.subject for recording in found] == ["anna", "ben"]
    assert not rejected
    again = frame.assign(timestamp=np.arange(ROWS) * 20).rename(
        columns={"acc_x": "Accel X (m/s²)", "subject": "User", "activity": "Label", "timestamp": "Time"}
    )
    again[["Accel X (m/s²)", "acc_y", "acc_z"]] *= 9.80665
    put(tmp_path, again.assign(Label=np.repeat(["SQUATTING", "squats", "null", "other"], ROWS // 4)), "ben.csv")
    (tmp_path / "anna.csv").unlink()
    (tmp_path / "dataset.yml").write_text(description + further)
    (recording,), rejected = ingest(tmp_path)
    assert not rejected
    assert minutes(recording) == {-1: ROWS // 2, 0: ROWS // 2}
    np.testing.assert_allclose(recording.samples, frame[["acc_x", "acc_y", "acc_z"]], atol=1e-4)


def test_a_phone_apps_folders(tmp_path: Path) -> None:
    (description,) = blocks("A phone app's folders, one file per sensor", "yaml")
    for index, folder in enumerate(("anna-monday", "ben-tuesday")):
        frame = table(seed=index)
        stamps = 1_767_620_467_350_470_700 + np.arange(ROWS) * 20_000_000
        samples = {axis: frame[f"acc_{axis}"] for axis in "zyx"}
        acc = pd.DataFrame({"time": stamps, **{axis: values * 9.80665 for axis, values in samples.items()}})
        put(tmp_path, acc, f"{folder}/Accelerometer.csv")
        put(tmp_path, pd.DataFrame({"time": stamps + 5_000_000, **samples}), f"{folder}/Gyroscope.csv")
        put(
            tmp_path,
            pd.DataFrame({"time": stamps[[10, 300]], "text": ["sitting", "walking"]}),
            f"{folder}/Annotation.csv",
        )
        put(tmp_path, pd.DataFrame({"version": [1.47], "device": ["phone"]}), f"{folder}/Metadata.csv")
    (tmp_path / "dataset.yml").write_text(description)
    found, others = ingest(tmp_path)
    assert [(recording.subject, recording.name) for recording in found] == [
        ("anna", "anna-monday"),
        ("ben", "ben-tuesday"),
    ]
    assert all(other.passed_over for other in others)
    assert len(others) == 2
    assert set(minutes(found[0])) == {-1, 0, 1}
    assert np.median(np.linalg.norm(found[0].samples[:200, :3], axis=1)) == pytest.approx(1, abs=0.05)


def test_a_file_of_intervals(tmp_path: Path) -> None:
    heading = "Recordings with a file of intervals"
    (description,) = blocks(heading, "yaml")
    rows = "Recording;From" + TEXT.partition(f"## {heading}")[2].partition("Recording;From")[2].partition("\n```")[0]
    start = pd.Timestamp("2026-03-02 08:00:00")
    for index, name in enumerate(("s1_morning", "s2_evening")):
        frame = table(seed=index, rows=1000)
        stamps = (start + pd.to_timedelta(np.arange(1000) / 25, unit="s")).strftime("%d.%m.%Y %H:%M:%S.%f")
        axes = {f"Accel {axis.upper()}": frame[f"acc_{axis}"] * 9.80665 for axis in "xyz"}
        path = put(
            tmp_path, pd.DataFrame({"Time": stamps, **axes}), f"watch/{name[:2]}/{name}.txt", sep=";", decimal=","
        )
        path.write_text("made by a watch\n" + path.read_text())
    header, row = rows.splitlines()
    later = "s2_evening;02.03.2026 08:00:05;02.03.2026 08:00:15;cycle"
    (tmp_path / "labels.csv").write_text("\n".join([header, row, later]))
    (tmp_path / "dataset.yml").write_text(description)
    found, rejected = ingest(tmp_path)
    assert not rejected
    assert [recording.name for recording in found] == ["s1_morning", "s2_evening"]
    assert [recording.subject for recording in found] == ["s1", "s2"]
    assert minutes(found[0]) == {-1: 250, 0: 750}
    assert minutes(found[1]) == {-1: 750, 1: 250}
    assert found[0].sample[-1] == 999


def test_every_key_is_documented() -> None:
    from contrastive_har.signals.descriptions import DatasetDescription
    from contrastive_har.sources.own.settings import Reading

    table_of_keys = TEXT.partition("## All keys")[2].partition("\n## ")[0]
    inner = {"name", "download", "request", "checksums"}  # of public data sets
    for key in {*Reading.model_fields, *DatasetDescription.model_fields} - inner:
        assert f"`{key}" in table_of_keys, key
