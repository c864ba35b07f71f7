"""Runs outside a checkout, and with a configuration from elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import configure_project, pipelines

from contrastive_har.runs import settings as run_settings
from contrastive_har.runs.session import MAIN, RunSession
from tests.pipelines.conftest import Project, empty_tracking_database


def as_installed(project: Project, folder: Path) -> None:
    """Put a configuration where a wheel has it: without a folder for a user's own settings."""
    for part in ("base", "paper"):
        shutil.copytree(project.path / "conf" / part, folder / "conf" / part)


def test_an_installed_package_runs_in_any_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, elsewhere = tmp_path / "package", tmp_path.parent / f"{tmp_path.name} elsewhere"
    as_installed(project, package)
    monkeypatch.setattr(run_settings, "_PACKAGE", package)
    shutil.copytree(project.path / "data/01_raw", elsewhere / "data/01_raw")
    (elsewhere / "mlflow.db").write_bytes(empty_tracking_database())
    with contextlib.chdir(elsewhere):
        configure_project("contrastive_har")
        with RunSession.create(runtime_params={"dataset": "my_data"}) as session:
            session.run(pipeline_names=["ingestion"])
    assert list(elsewhere.glob("data/02_intermediate/my_data/recordings.parquet/*/recordings.parquet"))
    shutil.rmtree(elsewhere)


def test_refusals_are_short_without_a_configuration_of_logging(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "contrastive_har", "--pipeline=windowing"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.stderr == (
        "Error: recordings has no version yet. Run 'python -m contrastive_har --pipeline=ingestion' first, "
        "with the --env and --params of this run.\n"
    )


def test_kedros_own_refusals_have_their_message(tmp_path: Path) -> None:
    """Kedro would print the traceback that is being handled, of which there is none."""
    command = [sys.executable, "-m", "contrastive_har", "--pipeline=windowing", "--load-versions=recordings"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "Expected the form of 'load_versions'" in ran.stderr
    assert "NoneType" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("command", [["moving"], ["cleaning", "--keep=1", "--dry-run"], ["parts", "--ended=nobody"]])
def test_repairs_need_no_checkout(tmp_path: Path, command: list[str]) -> None:
    """They are the cures that messages of an installed package name."""
    called = [sys.executable, "-m", f"contrastive_har.runs.{command[0]}", *command[1:]]
    ran = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in ran.stdout + ran.stderr
    known = {
        "moving": "no file of this project has their paths",
        "cleaning": "would be removed.",
        "parts": "There is no run nobody in",
    }
    assert known[command[0]] in ran.stdout + ran.stderr


def test_pipelines_are_those_of_the_configuration_of_the_session(project: Project, tmp_path: Path) -> None:
    as_installed(project, tmp_path / "other")
    file = tmp_path / "other/conf/base/parameters_semi_supervised.yml"
    settings = yaml.safe_load(file.read_text())
    settings[MAIN]["methods"] = {
        "mine": {**settings[MAIN]["methods"]["supervised"], "title": "Mine"},
        "clusterclhar": settings[MAIN]["methods"]["clusterclhar"],
    }
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    (tmp_path / "outside").mkdir()
    for folder in (project.path, tmp_path / "outside"):
        with contextlib.chdir(folder):
            configure_project("contrastive_har")
            with RunSession.create(conf_source=str(tmp_path / "other/conf")) as session:
                session.load_context()
                namespaces = {node.namespace for node in pipelines[MAIN].nodes}
        assert {f"{MAIN}.paper.mine", f"{MAIN}.paper.clusterclhar"} <= namespaces
        assert f"{MAIN}.paper.supervised" not in namespaces
