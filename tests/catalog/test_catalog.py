from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError, Version
from matplotlib.figure import Figure

from contrastive_har.catalog import AtomicDataset, FigureDataset, MlflowRunsDataset, TableDataset, TextDataset
from contrastive_har.reports.tracked import TrackedRun

TABLE = pd.DataFrame({"a": [1, 2, 3]})
TABLE_FORMAT = {"type": "contrastive_har.catalog.TableDataset", "kind": "scores"}


def dataset(folder: Path, version: Version | None, **arguments: object) -> AtomicDataset:
    settings = {"filepath": str(folder / "scores.parquet"), "dataset": TABLE_FORMAT, "version": version, **arguments}
    return AtomicDataset(**settings)  # type: ignore[arg-type]


def test_versions_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    for number in (1, 2):
        dataset(tmp_path, Version(None, f"2026-01-0{number}T00.00.00.000Z")).save(TABLE * number)
    newest = dataset(tmp_path, Version(None, None))
    pd.testing.assert_frame_equal(newest.load(), TABLE * 2)
    first = dataset(tmp_path, Version("2026-01-01T00.00.00.000Z", None))
    pd.testing.assert_frame_equal(first.load(), TABLE)
    assert newest.path == tmp_path / "scores.parquet/2026-01-02T00.00.00.000Z/scores.parquet"
    assert newest.exists()


def test_without_versions_the_file_is_replaced(tmp_path: Path) -> None:
    plain = dataset(tmp_path, None)
    assert not plain.exists()
    plain.save(TABLE)
    plain.save(TABLE * 2)
    pd.testing.assert_frame_equal(plain.load(), TABLE * 2)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_a_version_that_is_made_again_is_replaced(tmp_path: Path) -> None:
    """A part of a run that is done again writes to the run's version; other versions stay."""
    early, late = (f"2026-01-0{number}T00.00.00.000Z" for number in (1, 2))
    for version, times in ((early, 1), (late, 2), (early, 3)):
        dataset(tmp_path, Version(None, version)).save(TABLE * times)
    pinned = dataset(tmp_path, Version(None, late))
    pinned.pin(early)
    assert (pinned.version, pinned.is_pinned, pinned.has(late), pinned.has("x")) == (early, True, True, False)
    pd.testing.assert_frame_equal(pinned.load(), TABLE * 3)
    assert sorted(path.name for path in (tmp_path / "scores.parquet").iterdir()) == [early, late]


VERSION = "2026-01-01T00.00.00.000Z"
TEXT = "走路 in Zürich – 5 °"
KINDS: dict[str, tuple[object, object]] = {
    "scores.parquet": (TABLE_FORMAT, TABLE),
    "leakage.json": ({"type": "contrastive_har.catalog.FactsDataset", "kind": "leakage"}, {"a": 1.5}),
    "map.png": ("contrastive_har.catalog.FigureDataset", Figure(figsize=(1, 1))),
    "report.html": ("contrastive_har.catalog.TextDataset", TEXT),
    "recogniser.onnx": ("contrastive_har.catalog.BytesDataset", b"123"),
}


def entry(folder: Path, name: str) -> AtomicDataset:
    version = Version(VERSION, VERSION)
    return AtomicDataset(filepath=str(folder / name), dataset=KINDS[name][0], version=version)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_version_is_never_loaded(name: str, tmp_path: Path) -> None:
    stored = entry(tmp_path, name)
    stored.save(KINDS[name][1])
    content = stored.path.read_bytes()
    checksum = stored.path.with_name(".sha256").read_text().split()
    assert checksum == [hashlib.sha256(content).hexdigest(), name]
    stored.load()
    assert stored.is_whole(VERSION)
    for bit in np.random.default_rng(0).integers(8 * len(content), size=20):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << (bit % 8)
        stored.path.write_bytes(flipped)
        with pytest.raises(DatasetError, match="does not have the checksum"):
            stored.load()
    stored.path.write_bytes(content[:-1])
    assert not stored.is_whole(VERSION)
    stored.path.write_bytes(content)  # from a backup
    assert stored.is_whole(VERSION)
    stored.load()
    stored.path.with_name(".sha256").unlink()
    assert not stored.is_whole(VERSION)


def test_a_missing_version_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    dataset(tmp_path, Version(None, VERSION)).save(TABLE)
    with pytest.raises(DatasetError, match=rf"scores\.parquet: there is no such file\. The newest are {VERSION}\."):
        dataset(tmp_path, Version("2026-01-02T00.00.00.000Z", None)).load()


def test_texts_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    program = (
        "import locale, sys; from pathlib import Path; from tests.catalog.test_catalog import TEXT, entry\n"
        "assert locale.getpreferredencoding(False).lower() not in ('utf-8', 'utf8')\n"
        "entry(Path(sys.argv[1]), 'report.html').save(TEXT)"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env={**os.environ, **locale}, check=True)
    stored = entry(tmp_path, "report.html")
    assert stored.path.read_bytes() == TEXT.encode()
    assert stored.load() == TEXT
    other = TextDataset(filepath=str(tmp_path / "latin1.html"))
    (tmp_path / "latin1.html").write_bytes("Zürich".encode("latin-1"))
    with pytest.raises(DatasetError, match="not a readable UTF-8 text file"):
        other.load()


class HalfWay(TableDataset):
    """Writes a part and then fails, like a full disk."""

    def save(self, data: pd.DataFrame) -> None:
        self._path.write_bytes(b"half")
        raise OSError("No space left on device")


@pytest.mark.parametrize("version", [Version(None, "2026-01-01T00.00.00.000Z"), None])
def test_a_failing_save_leaves_nothing(tmp_path: Path, version: Version | None) -> None:
    broken = dataset(tmp_path, version, dataset={"type": f"{__name__}.HalfWay", "kind": "scores"})
    with pytest.raises(DatasetError, match="No space left"):
        broken.save(TABLE)
    assert not broken.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_process_that_dies_half_way_leaves_no_version(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        HalfWay.save = lambda self, data: (self._path.write_bytes(b"half"), os._exit(9))  # type: ignore[method-assign,assignment,return-value]
        dataset(
            tmp_path,
            Version(None, "2026-01-01T00.00.00.000Z"),
            dataset={"type": f"{__name__}.HalfWay", "kind": "scores"},
        ).save(TABLE)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    reader = dataset(tmp_path, Version(None, None))
    assert not reader.exists()
    dataset(tmp_path, Version(None, "2026-01-02T00.00.00.000Z")).save(TABLE)
    pd.testing.assert_frame_equal(dataset(tmp_path, Version(None, None)).load(), TABLE)


def test_previews_say_what_they_are(tmp_path: Path) -> None:
    table = dataset(tmp_path, Version(None, "2026-01-01T00.00.00.000Z"))
    table.save(TABLE)
    assert table.preview(nrows=2) == {"columns": ["a"], "data": [[1], [3]]}
    assert table.preview.__annotations__["return"].__name__ == "TablePreview"
    figure = FigureDataset(filepath=str(tmp_path / "figure.png"))
    figure.save(Figure())
    assert figure.load().startswith(b"\x89PNG")
    assert figure.preview.__annotations__["return"].__name__ == "ImagePreview"


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("test", (tmp_path / "artifacts").as_uri()))
    return uri


def described(**changes: object) -> TrackedRun:
    facts = {
        "name": "cell",
        "tags": {"split": "paper"},
        "parameters": {"epochs": "3"},
        "metrics": [("macro_f1", 0.5, 0), ("macro_f1", 0.7, 1), ("macro_f1_low", 0.6, 0)],
        "figures": {"confusion_matrix": Figure()},
        "dataset": "synthetic",
        "digest": "f" * 64,
        "source": "https://example.org/data",
    }
    return TrackedRun(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.usefixtures("tracking")
def test_cells_become_children_of_the_active_run() -> None:
    with mlflow.start_run() as parent:
        MlflowRunsDataset().save([described(), described(name="other")])
    children = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", output_format="list"
    )
    assert {child.info.run_name for child in children} == {"cell", "other"}
    child = next(child for child in children if child.info.run_name == "cell")
    assert child.info.status == "FINISHED"
    assert child.data.params == {"epochs": "3"}
    assert child.data.metrics["macro_f1_low"] == 0.6
    history = mlflow.MlflowClient().get_metric_history(child.info.run_id, "macro_f1")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.7)]
    inputs = [run.inputs.dataset_inputs for run in (child, mlflow.get_run(parent.info.run_id))]
    assert [[(one.dataset.name, one.dataset.digest) for one in of_run] for of_run in inputs] == 2 * [
        [("synthetic", "f" * 8)]
    ]
    assert mlflow.data.get_source(inputs[0][0]).url == "https://example.org/data"
    artifacts = mlflow.MlflowClient().list_artifacts(child.info.run_id)
    assert [artifact.path for artifact in artifacts] == ["confusion_matrix.png"]


@pytest.mark.usefixtures("tracking")
def test_a_child_that_cannot_be_logged_is_marked_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(mlflow.MlflowClient, "log_figure", refuse)
    with mlflow.start_run(), pytest.raises(DatasetError):
        MlflowRunsDataset().save([described()])
    assert "FAILED" in {run.info.status for run in mlflow.search_runs(output_format="list")}
    assert "RUNNING" not in {run.info.status for run in mlflow.search_runs(output_format="list")}


def test_tracked_runs_cannot_be_loaded() -> None:
    with pytest.raises(DatasetError, match="mlflow ui"):
        MlflowRunsDataset().load()
