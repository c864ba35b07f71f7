"""Where runs are tracked: the first start of a project, another server, and a project that was moved."""

from __future__ import annotations

import logging
import multiprocessing
import runpy
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from contrastive_har.runs import cleaning, moving, tracking_server
from contrastive_har.runs.tracking_server import TrackingSettings, connect, usable
from tests.pipelines.conftest import Project, empty_tracking_database

RUN = "2026-01-31T12.00.00.000Z"


def address(path: Path) -> str:
    return f"sqlite:///{path / 'mlflow.db'}"


def settings_of(folder: Path) -> TrackingSettings:
    return TrackingSettings(tracking_uri="sqlite:///mlflow.db", experiment="e", artifact_location="art").located(folder)


def test_first_starts_at_once_share_one_database(tmp_path: Path) -> None:
    together = multiprocessing.get_context("fork")  # MLflow is imported already
    barrier = together.Barrier(4)

    def start() -> None:
        barrier.wait()
        connect(settings_of(tmp_path))

    starts = [together.Process(target=start) for _ in range(4)]
    for process in starts:
        process.start()
    for process in starts:
        process.join(300)
    assert [process.exitcode for process in starts] == [0] * 4
    experiments = mlflow.MlflowClient(address(tmp_path)).search_experiments(filter_string="name = 'e'")
    assert [experiment.artifact_location for experiment in experiments] == [(tmp_path / "art").as_uri()]
    assert not (tmp_path / ".mlflow.db.making").exists()


def test_a_database_is_made_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", kill)
    with pytest.raises(KeyboardInterrupt):
        connect(settings_of(tmp_path))
    assert list((tmp_path / ".mlflow.db.making").iterdir()), "the first tables were made"
    assert not (tmp_path / "mlflow.db").exists()


def test_a_moved_project_is_refused_until_its_paths_are_corrected(project: Project, tmp_path: Path) -> None:
    mlflow.set_tracking_uri(address(project.path))
    project.run("ingestion")
    (old,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    mlflow.MlflowClient().log_text(old.info.run_id, "text", "file.txt")
    with mlflow.start_run(run_id=old.info.run_id):
        mlflow.pyfunc.log_model(
            name="m",
            python_model=lambda model_input: [5],
            registered_model_name="model",
            pip_requirements=["mlflow"],
        )
    moved = Project(tmp_path / "moved to 100 %")
    moved.path.mkdir()
    for part in ("conf", "data", "mlartifacts", "mlflow.db", "pyproject.toml", "src"):
        shutil.move(project.path / part, moved.path / part)

    with pytest.raises(RuntimeError, match=r"stored in .*/mlartifacts, not in .*moved.* python -m contrastive_har\."):
        moved.run("ingestion")
    assert not (project.path / "mlartifacts").exists()
    before, after, changed = moving.correct(moved.path)
    assert (before, after) == tuple((path / "mlartifacts").as_uri() for path in (project.path, moved.path))
    assert changed >= 4, "of the experiment, the run, the model and its version"
    assert moving.correct(moved.path)[2] == 0
    moved.run("ingestion")
    mlflow.set_tracking_uri(address(moved.path))
    assert mlflow.artifacts.load_text(f"runs:/{old.info.run_id}/file.txt") == "text"
    assert mlflow.pyfunc.load_model("models:/model/1").predict([1]) == [5]
    assert not (project.path / "mlartifacts").exists()


@pytest.mark.parametrize("name", ["job%2Fbranch", "what?"])
def test_folders_that_mlflow_takes_for_others_are_refused(project: Project, name: str) -> None:
    project.path.rename(project.path.with_name(name))
    moved = Project(project.path.with_name(name))
    with pytest.raises(ValueError, match=r"in a folder with .* Rename the folder"):
        moved.run("ingestion")
    assert not list(moved.path.glob("data/02*"))


def test_a_folder_in_the_place_of_the_database_is_refused(project: Project) -> None:
    (project.path / "mlflow.db").unlink()
    (project.path / "mlflow.db").mkdir()
    with pytest.raises(RuntimeError, match=r"mlflow\.db is a folder, not a database\. Move it away\."):
        project.run("ingestion")


@pytest.mark.parametrize("loss", ["deleted", "other database", "other experiment"])
def test_a_part_of_a_run_whose_tracked_run_is_gone_is_tracked_anew(
    project: Project, loss: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_tracking_uri(address(project.path))
    project.run("ingestion", run_id=RUN)
    (first,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    if loss == "deleted":
        mlflow.delete_run(first.info.run_id)
    elif loss == "other database":
        (project.path / "mlflow.db").write_bytes(empty_tracking_database())
    else:
        (project.path / "conf/local/mlflow.yml").write_text("experiment: renamed")
    project.run("ingestion", run_id=RUN)
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    again = [run for run in found if run.info.run_id != first.info.run_id]
    assert [(run.info.status, run.data.params["dataset"]) for run in again] == [("FINISHED", "my_data")]
    project.run("ingestion")
    if loss == "other database":
        (project.path / "mlflow.db").write_bytes(empty_tracking_database())
    capsys.readouterr()
    cleaning.clean(project.path, 1)
    assert not list(project.path.glob(f"data/08_reporting/run_manifest.json/{RUN}"))
    told = capsys.readouterr().out
    assert ("1 tracked runs are not in sqlite:" in told) == (loss == "other database")
    assert ("mlflow gc" in told) == (loss != "other database")


def test_an_address_in_the_environment_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TrackingSettings(tracking_uri="sqlite:///mlflow.db", experiment="e", artifact_location="art")
    monkeypatch.setattr(tracking_server, "_ADDRESS", "https://mlflow.example.org")
    with caplog.at_level(logging.INFO):
        located = settings.located(tmp_path)
    assert located.tracking_uri == "https://mlflow.example.org"
    assert located.artifact_location is None, "the server knows"
    assert [record.getMessage() for record in caplog.records] == [
        "MLflow: https://mlflow.example.org, as MLFLOW_TRACKING_URI says, not sqlite:///mlflow.db."
    ]
    with pytest.raises(RuntimeError, match=r"Start the server, or correct MLFLOW_TRACKING_URI\."), usable(located):
        raise MlflowException("it does not respond")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert runpy.run_module(tracking_server.__name__)["_ADDRESS"] == "sqlite:///other.db"


def test_an_experiment_in_the_environment_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TrackingSettings(tracking_uri="sqlite:///mlflow.db", experiment="e", artifact_location="art")
    monkeypatch.setattr(tracking_server, "_EXPERIMENT", "other")
    monkeypatch.setattr(tracking_server, "_EXPERIMENT_ID", "7")
    with caplog.at_level(logging.INFO):
        assert settings.located(tmp_path).experiment == "other"
    assert [record.getMessage() for record in caplog.records] == [
        "MLflow: the experiment 'other', as MLFLOW_EXPERIMENT_NAME says, not 'e'.",
        "MLFLOW_EXPERIMENT_ID is ignored: the experiment is 'other', which mlflow.yml or MLFLOW_EXPERIMENT_NAME says.",
    ]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "third")
    assert runpy.run_module(tracking_server.__name__)["_EXPERIMENT"] == "third"


def test_the_id_of_a_tracked_run_in_the_environment_is_ignored(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123")
    project.run("ingestion")
    assert "MLFLOW_RUN_ID is ignored" in caplog.text
    mlflow.set_tracking_uri(address(project.path))
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED"
