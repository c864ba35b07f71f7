"""Documented commands, executed as they are typed, in a project with tiny recordings."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from contrastive_har.commands import commands
from contrastive_har.runs import moving, showing
from contrastive_har.runs.listing import runs_of
from contrastive_har.runs.session import MAIN
from tests.pipelines.conftest import Project


@pytest.fixture(scope="module")
def project(finished_few: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of a project whose main job has run, with its parameters in ``conf/local`` and odd files beside them."""
    path = tmp_path_factory.mktemp("commands") / "project"
    shutil.copytree(finished_few.path, path)
    moving.correct(path)
    project = Project(path)
    parameters = {name: value for name, value in project.tiny.items() if name != "dataset"}
    (path / "conf/local/parameters.yml").write_text(yaml.safe_dump(parameters))
    (path / "conf/local/globals.yml").write_text("dataset: my_data\n")
    for name in ("mlflow (copy).yml", "a:b.yml"):
        (path / "conf/local" / name).touch()
    return project


def typed(project: Project, *arguments: str) -> str:
    """Return what ``contrastive-har`` prints."""
    with contextlib.chdir(project.path):
        bootstrap_project(project.path)
        result = CliRunner().invoke(commands, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_runs_are_resumed_listed_and_compared(project: Project) -> None:
    (first,) = [run.run_id for run in runs_of(project.path) if run.manifest.pipelines == [MAIN]]
    said = typed(project, "run", "--resume")
    assert "macro-F1 in per cent, by labels" in said
    assert "pretraining" not in said.partition("Time:")[2], "nothing was left to compute"
    listed = typed(project, "runs")
    assert f"{first}  finished" in listed
    second = max(run.run_id for run in runs_of(project.path))
    assert second > first
    assert "run_comparison.html" in typed(project, "compare", first, second)


def test_recordings_are_described_and_recognised(project: Project, tmp_path: Path) -> None:
    frame = pd.read_csv(project.path / "data/01_raw/my_data/s1.csv").drop(columns="activity")
    frame["timestamp"] = np.arange(len(frame)) / 50
    frame.to_csv(tmp_path / "day.csv", index=False)
    assert "timeline.png" in typed(project, "predict", str(tmp_path / "day.csv"))
    said = typed(project, "describe", str(tmp_path))
    assert "day.csv" in said
    assert (tmp_path / "dataset.yml").is_file()


def test_make_run_shows_what_the_configuration_of_this_machine_asks_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.path)
    assert showing.main() == 0
    assert f"{MAIN} on my_data" in capsys.readouterr().out
    (project.path / "conf/local/globals.yml").write_text("dataset: uci_har\n")
    assert showing.main() == showing.NOTHING, "another data set is asked for"
    (project.path / "conf/local/globals.yml").write_text("dataset: my_data\n")
    shutil.rmtree(project.path / "data/08_reporting/my_data")
    assert showing.main() == showing.NOTHING, "the reports were removed"
