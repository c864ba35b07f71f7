from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tables import read_facts, read_table, write_facts, write_table
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import (
    BadRecordingError,
    Recording,
    Recordings,
    Rejection,
    check_recording,
    read_recordings,
    write_recordings,
)
from contrastive_har.signals.summaries import summarise_recordings


def test_stored_recordings_are_the_same(recordings: Recordings, tmp_path: Path) -> None:
    path = tmp_path / "recordings.parquet"
    write_recordings(recordings, path)
    stored = read_recordings(path)
    assert stored.description == recordings.description
    for before, after in zip(recordings, stored, strict=True):
        assert (before.subject, before.name) == (after.subject, after.name)
        np.testing.assert_array_equal(before.sample, after.sample)
        np.testing.assert_array_equal(before.activity, after.activity)
        np.testing.assert_array_equal(before.samples, after.samples)


def test_one_row_group_per_recording(recordings: Recordings, tmp_path: Path) -> None:
    path = tmp_path / "recordings.parquet"
    write_recordings(recordings, path)
    assert pq.ParquetFile(path).num_row_groups == len(list(recordings))


def test_rejections_survive_storage_and_reach_the_summary(recordings: Recordings, tmp_path: Path) -> None:
    def stream() -> Iterator[Recording | Rejection]:
        yield Rejection("broken", "row 3: because")
        yield from recordings

    path = tmp_path / "recordings.parquet"
    write_recordings(Recordings(recordings.description, stream), path)
    summary = summarise_recordings(read_recordings(path))
    assert summary.dropna(subset=["rejected"])[["rejected", "reason"]].to_numpy().tolist() == [
        ["broken", "row 3: because"]
    ]
    assert summary["seconds"].sum() == pytest.approx(10 * 3 * 8.0)


def test_what_was_mended_survives_storage_and_reaches_the_summary(recordings: Recordings, tmp_path: Path) -> None:
    first, second, *others = recordings
    counts = {"rows that repeat another": 3, "samples interpolated": 5}
    changed = [first, replace(second, mended=counts), *others]
    path = tmp_path / "recordings.parquet"
    write_recordings(Recordings(recordings.description, lambda: iter(changed)), path)
    stored = read_recordings(path)
    assert [recording.mended for recording in stored] == [{}, counts, *[{}] * len(others)]
    summary = summarise_recordings(stored)
    assert summary.dropna(subset=["mended"])[["mended", "defect", "count"]].to_numpy().tolist() == [
        [second.name, "rows that repeat another", 3],
        [second.name, "samples interpolated", 5],
    ]
    assert summary["seconds"].sum() == pytest.approx(10 * 3 * 8.0)


def test_no_usable_recording_is_an_error_with_all_reasons(description: DatasetDescription, tmp_path: Path) -> None:
    nothing = Recordings(description, lambda: iter([Rejection("a", "reason one"), Rejection("b", "reason two")]))
    with pytest.raises(BadRecordingError, match=r"(?s)reason one.*reason two"):
        write_recordings(nothing, tmp_path / "recordings.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": np.zeros((0, 3), np.float32)}, "empty or truncated"),
        ({"samples": np.zeros((4, 2), np.float32)}, "2 channels where 3 were declared"),
        ({"samples": np.array([[0, 0, 0]] * 2 + [[0, np.nan, 0]] * 2, np.float32)}, "row 7: channel 'y' is nan"),
        ({"samples": np.array([[np.inf, 0, 0]] * 4, np.float32)}, "row 5: channel 'x' is inf"),
        ({"activity": np.array([0, 0, 0, 9], np.int16)}, "row 8: unknown activity 9"),
        ({"activity": np.zeros(3, np.int16)}, "4 samples, but 3 activities and 4 positions"),
        ({"sample": np.arange(5)}, "4 samples, but 4 activities and 5 positions"),
    ],
)
def test_bad_samples_are_named(description: DatasetDescription, change: dict[str, np.ndarray], message: str) -> None:
    good = Recording("s", "r", np.arange(4), np.zeros(4, np.int16), np.zeros((4, 3), np.float32))
    check_recording(good, description, "file.csv", rows=[5, 6, 7, 8])
    with pytest.raises(BadRecordingError, match=rf"file\.csv.*{message}"):
        check_recording(replace(good, **change), description, "file.csv", rows=[5, 6, 7, 8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activities": {-1: "a", 0: "b"}}, "0 or more"),
        ({"activities": {0: "a", 70000: "b"}, "recognised": []}, "at most 32767"),
        ({"activities": {0: "a", 1: "a"}, "recognised": []}, "names must differ"),
        ({"recognised": [7]}, "does not name"),
        ({"channels": [{"name": "x", "unit": "g"}] * 2}, "must differ"),
        ({"sampling_rate_hz": 0}, "greater than 0"),
    ],
)
def test_impossible_descriptions_are_refused(
    description: DatasetDescription, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DatasetDescription.model_validate({**description.model_dump(), **change})


def test_tables_carry_their_kind_and_version(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = pd.DataFrame({"a": [1, 2]})
    write_table(table, path, "scores")
    pd.testing.assert_frame_equal(read_table(path, "scores"), table)
    with pytest.raises(SchemaError, match="holds 'scores', not 'splits'"):
        read_table(path, "splits")
    old = pq.read_table(path)
    pq.write_table(old.replace_schema_metadata({b"kind": b"scores", b"schema_version": b"0"}), path)
    with pytest.raises(SchemaError, match="Run the pipeline again"):
        read_table(path, "scores")
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(SchemaError, match="something else"):
        read_table(path, "scores")


def test_facts_carry_their_kind_and_version(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_facts({"a": {"b": 1}}, path, "leakage")
    assert read_facts(path, "leakage") == {"a": {"b": 1}}
    with pytest.raises(SchemaError, match="holds 'leakage', not 'metrics'"):
        read_facts(path, "metrics")
    path.write_text("{")
    with pytest.raises(SchemaError, match="not a readable JSON file"):
        read_facts(path, "leakage")
