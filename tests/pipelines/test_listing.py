"""What is said of runs after they have ended: by make run, by contrastive-har runs, and by kedro-viz."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from contrastive_har.files.tables import read_table
from contrastive_har.runs import showing
from contrastive_har.runs.listing import Run, age_in_words, find_run, runs_of
from contrastive_har.runs.session import MAIN, RunSession
from tests.pipelines.conftest import FEW, ROOT, Project

MOST_AT_FIRST = 20
"""Nodes of kedro-viz's first view, in which all namespaces are folded, without parameters."""


def main_run(project: Project) -> Run:
    """Return the newest run of the main job."""
    return next(run for run in runs_of(project.path) if run.manifest.pipelines[:1] == [MAIN])


def test_a_run_is_described_by_its_manifest(finished_few: Project) -> None:
    run = main_run(finished_few)
    assert (run.status, run.dataset) == ("finished", "my_data")
    assert run.reports[MAIN] == finished_few.path / (
        f"data/08_reporting/my_data/{MAIN}/report.html/{run.run_id}/report.html"
    )
    summary = run.summary(MAIN)
    assert run.best is not None
    asked = (summary["split"] == "subject_wise") & (summary["label_budget"] == summary["label_budget"].iloc[0])
    assert run.best[0] in set(summary.loc[asked & (summary["metric"] == "macro_f1"), "mean"])
    assert f"{MAIN}.subject_wise." in run.best[1]
    assert find_run(finished_few.path, run.run_id) == run
    with pytest.raises(ValueError, match="0 runs begin with '1999'"):
        find_run(finished_few.path, "1999")


def test_states_of_runs(finished_few: Project) -> None:
    run = main_run(finished_few)

    def status(**parts: str) -> str:
        return Run(run.manifest.model_copy(update={"parts": parts}), finished_few.path).status

    assert status() == "finished"
    assert status(a="failed") == "failed"
    assert [age_in_words(timedelta(seconds=seconds)) for seconds in (5, 61, 7200, 200_000)] == [
        *("less than a minute", "1 minute", "2 hours", "2 days"),
    ]


def test_make_run_shows_a_run_only_if_nothing_has_changed(
    finished_few: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = main_run(finished_few)
    configured: dict[str, Any] = dict(run.manifest.parameters)
    monkeypatch.setattr(showing, "load_configuration", lambda project: {"parameters": configured})
    found = showing.up_to_date(finished_few.path)
    assert found == run
    text = showing.describe(run)
    assert f"Report:  {run.reports[MAIN]}" in text
    assert f"{run.run_id}, {MAIN} on my_data" in text
    assert "± " in text

    report = run.reports[MAIN]
    report.rename(tmp_path / "report.html")
    assert showing.up_to_date(finished_few.path) is None, "the report is missing"
    (tmp_path / "report.html").rename(report)

    configured["dataset"] = "uci_har"
    assert showing.up_to_date(finished_few.path) is None, "another data set is asked for"
    configured["dataset"] = "my_data"

    recording = next(finished_few.path.glob("data/01_raw/my_data/*.csv"))
    recording.touch()
    assert showing.up_to_date(finished_few.path) == run, "the content is the same"
    before, content = recording.stat(), recording.read_text()
    recording.write_text(content.replace("1", "2"))
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert showing.up_to_date(finished_few.path) is None, "a recording has other numbers, but the same time and size"
    recording.write_text(content)

    monkeypatch.setattr(showing, "code_version", lambda: "another")
    assert showing.up_to_date(finished_few.path) is None, "the code has changed"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_odd_names_of_files_are_no_matter_to_make(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    local = tmp_path / "conf/local"
    local.mkdir(parents=True)
    for name in ("mlflow (copy).yml", "a:b.yml", "c d.yml"):
        (local / name).touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").touch()
    for target in ("run", "help"):
        ran = subprocess.run(["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")


def test_progress_is_told_by_steps(finished_few: Project) -> None:
    log = finished_few.path / f"data/08_reporting/run_log.jsonl/{main_run(finished_few).run_id}/run_log.jsonl"
    said = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    steps = 2 * 2 * len(FEW)  # two stages on two splits
    told = [text for text in said if " steps done" in text][:steps]  # other tests may continue the run
    assert [text.partition(" steps")[0] for text in told] == [f"{done} of {steps}" for done in range(1, steps + 1)]
    assert all(" left." in text for text in told[1:-1])  # the first is less than a tenth
    assert told[-1] == "12 of 12 steps done."


def test_the_static_site_of_kedro_viz_has_layers_previews_and_a_small_first_view(
    finished_few: Project, tmp_path: Path
) -> None:
    """As its interface answers: it draws no layers if they run in circles."""
    from kedro_viz.data_access import data_access_manager
    from kedro_viz.integrations.deployment.local_deployer import LocalDeployer
    from kedro_viz.server import populate_data

    data_access_manager.reset_fields()
    with contextlib.chdir(finished_few.path), RunSession.create(finished_few.path) as session:
        catalog = session.load_context().catalog
        populate_data(data_access_manager, catalog, {MAIN: Pipeline(pipelines[MAIN].nodes)}, {})
        with contextlib.chdir(tmp_path):
            LocalDeployer().deploy(is_all_previews_enabled=True)
    site = tmp_path / "build"
    assert (site / "index.html").is_file()
    answered = json.loads((site / "api/main").read_text())
    assert answered["layers"] == [
        *("raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"),
    ]
    root = answered["modular_pipelines"]["__root__"]["children"]
    shown = [child for child in root if child["type"] != "parameters"]
    assert len(shown) <= MOST_AT_FIRST
    assert [child["id"] for child in shown if child["type"] == "modularPipeline"] == [MAIN]
    ids = {node["name"].rpartition(".")[2]: node["id"] for node in answered["nodes"] if node["type"] == "data"}
    kinds = {
        name: json.loads((site / "api/nodes" / ids[name]).read_text()).get("preview_type")
        for name in ("recordings", "roles", "encoders", "scores", "answer")
    }
    assert kinds == {
        **dict.fromkeys(("recordings", "roles", "scores"), "TablePreview"),
        "encoders": "JSONPreview",
        "answer": "ImagePreview",
    }


def test_runs_are_compared_by_a_pipeline(finished_few: Project) -> None:
    run = main_run(finished_few)
    finished_few.run("compare", runs=f"{run.run_id}+{run.run_id}")
    page = finished_few.newest("run_comparison.html").read_text(encoding="utf-8")
    assert "Nothing: data, code, packages and settings are the same." in page
    table = read_table(finished_few.newest("run_comparison.parquet"), "run_comparison")
    assert (table["difference"] == 0).all()
    assert (table["p"] == 1).all()
    with pytest.raises(ValueError, match="contrastive-har runs lists them"):
        finished_few.run("compare", runs="1999+1998")
