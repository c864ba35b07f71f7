"""Runs beside one another: what is at work is not removed, and only a recorded end is a success."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from contrastive_har.learning.pretraining import checkpoints_of
from contrastive_har.runs import cleaning, parts
from contrastive_har.runs.hooks.checkpoints import CheckpointHooks
from contrastive_har.runs.hooks.tracking import TrackingHooks
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.parts import FAILED, part_of
from contrastive_har.runs.processes import _started, this_process
from tests.pipelines.conftest import Project

FIRST, SECOND, THIRD = (f"2026-01-31T12.00.00.00{number}Z" for number in range(3))
INGESTION = part_of({"pipeline_names": ["ingestion"], "tags": ()})


@pytest.fixture
def other() -> Iterator[str]:
    """The name of another process that is at work."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield " ".join([*this_process().split(" ")[:-2], str(process.pid), _started(process.pid)])
        process.kill()


def manifests(project: Project) -> Manifests:
    return Manifests(project.path / "data/08_reporting/run_manifest.json")


def manifest(project: Project, run_id: str) -> Manifest:
    found = manifests(project).find(run_id)
    assert found is not None
    return found


def put_to_work(project: Project, run_id: str, process: str, part: str = "part") -> None:
    manifests(project).update(run_id, lambda known: known.model_copy(update={"parts": {part: process}}))


def statuses(project: Project) -> list[str]:
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    return [run.info.status for run in mlflow.search_runs(search_all_experiments=True, output_format="list")]


def test_a_run_that_is_going_on_is_never_removed(project: Project, other: str) -> None:
    project.run("ingestion", run_id=FIRST)
    project.run("windowing", run_id=SECOND)  # reads the first
    project.run("ingestion", run_id=THIRD)
    checkpoint = project.path / "data/06_models/d/p/s/m/checkpoints/1"
    checkpoint.mkdir(parents=True)
    old = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    os.utime(checkpoint, (old, old))
    put_to_work(project, SECOND, other)
    cleaning.clean(project.path, 1)
    assert {path.name for path in project.path.glob("data/02*/**/recordings.parquet/*")} == {FIRST, THIRD}
    assert list(project.path.glob(f"data/03*/**/windows.parquet/{SECOND}/*"))
    assert manifests(project).find(SECOND) is not None
    assert checkpoint.is_dir(), "it may be going on from it"
    put_to_work(project, SECOND, FAILED)
    cleaning.clean(project.path, 1)
    assert [one.run_id for one in manifests(project).newest_first()] == [THIRD]
    assert not checkpoint.exists()


def test_a_run_that_has_just_begun_keeps_what_it_will_read(project: Project, other: str) -> None:
    for run_id in (FIRST, THIRD):
        project.run("ingestion", run_id=run_id)
    manifests(project).begin(
        SECOND, lambda _: Manifest(run_id=SECOND, code="", packages={}, parameters={}, parts={"part": other})
    )
    assert cleaning.plan(project.path, 1).versions == {}


def test_the_same_part_is_not_run_twice_at_once(
    project: Project, other: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run("ingestion", run_id=FIRST)
    stored = project.newest("recordings.parquet")
    before = stored.stat()
    put_to_work(project, FIRST, other, INGESTION)
    with pytest.raises(ValueError, match=rf"being run by process {other.split(' ')[-2]} of"):
        project.run("ingestion", run_id=FIRST)
    assert stored.stat() == before
    assert manifest(project, FIRST).parts == {INGESTION: other}, "the other's part is its own"
    assert statuses(project) == ["FINISHED"]

    monkeypatch.chdir(project.path)
    monkeypatch.setattr(sys, "argv", ["parts", f"--ended={FIRST}"])
    with pytest.raises(SystemExit, match=r"Still running: process \d+"):
        parts.main()
    put_to_work(project, FIRST, f"elsewhere {other.partition(' ')[2]}", INGESTION)
    with pytest.raises(ValueError, match=r"of elsewhere.*--ended="):
        project.run("ingestion", run_id=FIRST)
    mlflow.MlflowClient().update_run(str(manifest(project, FIRST).tracked_run), status="RUNNING")
    parts.main()
    assert statuses(project) == ["KILLED"]
    project.run("ingestion", run_id=FIRST)
    assert statuses(project) == ["FINISHED"]


def test_parts_that_share_nodes_are_not_run_at_once(project: Project, other: str) -> None:
    """However they are named: as a pipeline, or as nodes or tags of another."""
    project.run("ingestion", run_id=FIRST)
    node = next(iter(manifest(project, FIRST).nodes))
    assert manifest(project, FIRST).running == {}
    for process, nodes in ((other, [node]), (other, ["another node"])):
        manifests(project).update(FIRST, lambda known, run={process: nodes}: known.model_copy(update={"running": run}))
        if nodes == [node]:
            with pytest.raises(ValueError, match=rf"or some of it, is being run by process {other.split(' ')[-2]} of"):
                project.run("ingestion,windowing", run_id=FIRST)
        else:
            project.run("ingestion,windowing", run_id=FIRST)
    assert manifest(project, FIRST).running == {other: ["another node"]}
    assert statuses(project) == ["FINISHED"]


@pytest.mark.parametrize("fault", [LookupError("deleted"), OSError("No space left"), KeyboardInterrupt()])
def test_an_end_that_is_not_recorded_is_a_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*arguments: Any) -> Manifest:
        mlflow.end_run("FINISHED")
        raise fault

    monkeypatch.setattr(TrackingHooks, "_ended", staticmethod(fail))
    with pytest.raises(type(fault)):
        project.run("ingestion", run_id=FIRST)
    assert statuses(project) == ["FAILED"]


@pytest.mark.parametrize(
    "moment", ["mlflow.start_run", "mlflow.log_params", "contrastive_har.runs.hooks.summary._log_metrics"]
)
def test_a_run_that_is_interrupted_in_a_hook_has_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Two moments are between the creation of the tracked run and its note in the manifest, one after computing."""

    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        project.run("ingestion", run_id=FIRST)
    mlflow.end_run()  # as MLflow does at the end of the process
    assert statuses(project) == ["FAILED"]
    assert manifest(project, FIRST).parts == {INGESTION: FAILED}


def test_the_end_is_registered_after_the_exit_handler_of_mlflow(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit handlers run in the reverse order of their registration: this one before MLflow's."""
    registered: list[str] = []
    monkeypatch.setattr(atexit, "register", lambda call, **_: registered.append(call.__qualname__))
    start = mlflow.start_run

    def noted(**options: Any) -> Any:
        registered.append("start_run")
        return start(**options)

    monkeypatch.setattr(mlflow, "start_run", noted)
    project.run("ingestion")
    assert [name for name in registered if name != "freeze"] == ["TrackingHooks._end", "start_run"]


def test_a_removed_run_leaves_no_artifacts_and_no_model(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in (FIRST, SECOND, THIRD):
        project.run("ingestion", run_id=run_id)
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    client.create_registered_model("model")
    stored = {}
    for run_id in (FIRST, SECOND):
        run = client.get_run(str(manifest(project, run_id).tracked_run))
        client.log_text(run.info.run_id, "text", "file.txt")
        with mlflow.start_run(run_id=run.info.run_id):
            logged = mlflow.initialize_logged_model(name="recogniser")
        folder = Path(logged.artifact_location.removeprefix("file://"))
        folder.mkdir(parents=True)
        client.create_model_version("model", logged.artifact_location, run.info.run_id, model_id=logged.model_id)
        stored[run_id] = (run.info.run_id, folder, Path(run.info.artifact_uri.removeprefix("file://")))
        assert list(stored[run_id][2].iterdir())
    cleaning.clean(project.path, 1)
    said = capsys.readouterr().out
    assert "1 tracked runs are kept: their model is the newest" in said
    assert "mlflow gc --backend-store-uri sqlite:///" in said
    run, *folders = stored[FIRST]
    assert not any(folder.exists() for folder in folders)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    run, *folders = stored[SECOND]
    assert all(folder.exists() for folder in folders)
    assert client.get_run(run).info.lifecycle_stage == "active"
    assert [int(version.version) for version in client.search_model_versions("name = 'model'")] == [2]


def test_nothing_is_removed_while_mlflow_cannot_be_used(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for run_id in (FIRST, SECOND):
        project.run("ingestion", run_id=run_id)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (project.path / "conf/local/mlflow.yml").write_text("tracking_uri: http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match=r"http://127\.0\.0\.1:9 cannot be used.*Start the server"):
        cleaning.clean(project.path, 1)
    assert [one.run_id for one in manifests(project).newest_first()] == [SECOND, FIRST]
    assert len(list(project.path.glob("data/02*/**/recordings.parquet/*/recordings.parquet"))) == 2


def test_no_file_is_removed_before_the_tracked_runs_are(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose ids are in the manifests only: an interruption in between would lose them."""
    for run_id in (FIRST, SECOND):
        project.run("ingestion", run_id=run_id)

    def interrupted(run: str, experiment: str) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(cleaning, "delete_tracked", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cleaning.clean(project.path, 1)
    assert [one.run_id for one in manifests(project).newest_first()] == [SECOND, FIRST]
    assert len(list(project.path.glob("data/02*/**/recordings.parquet/*/recordings.parquet"))) == 2
    cleaning.clean(project.path, 1)
    assert [one.run_id for one in manifests(project).newest_first()] == [SECOND]


def test_only_finished_checkpoints_are_deleted(tmp_path: Path) -> None:
    """Another run may be saving one of the same training."""
    hooks = CheckpointHooks()
    hooks.context = SimpleNamespace(params={"compute": {}})  # type: ignore[assignment]
    hooks.after_catalog_created(SimpleNamespace(load=lambda name: tmp_path / "checkpoints"))  # type: ignore[arg-type]
    folder = checkpoints_of(tmp_path / "checkpoints", "f" * 64)
    for left in ([".writing-1"], []):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("a.safetensors", *left):
            (folder / name).write_bytes(b"")
        hooks.after_dataset_saved("p.s.m.encoders", SimpleNamespace(fingerprint="f" * 64))
        assert ([path.name for path in folder.iterdir()] if folder.exists() else []) == left
        (folder / ".writing-1").unlink(missing_ok=True)
    hooks.after_dataset_saved("p.s.m.encoders", SimpleNamespace(fingerprint="f" * 64))
