"""The main job in a real Kedro session."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.project import pipelines
from kedro.validation.exceptions import ParameterValidationError

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.files.tables import read_table
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.pipeline_registry import register_pipelines
from contrastive_har.runs.session import RunSession
from contrastive_har.scores.table import CELL, LATE_RISE
from contrastive_har.signals import leakage
from contrastive_har.signals.leakage import LeakageError
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitSettings
from contrastive_har.signals.windows import Windows, read_windows
from tests.pipelines.conftest import FEW, ROOT, TINY, Project, make_project

CELL_OF_PROTOCOL = CELL[CELL.index("split") :]


def test_registry(finished: Project) -> None:
    stages = ["ingestion", "windowing", "augmentation", "pretraining", "evaluation", "registration", "reporting"]
    protocols = {"__default__", "semi_supervised", "self_supervised", "ablation"}
    protocols |= {"multimodal", "multimodal_concentration", "modality_subsets"}
    protocols |= {"label_structures", "label_structures_six", "unseen_names", "names_on_encoders"}
    protocols |= {"choosing_labels", "tuning"}
    assert set(pipelines) == {*protocols, *stages, "report", "describe", "labelling", "compare", "inference", "export"}
    assert (
        sum((pipelines[stage] for stage in stages[1:]), pipelines["ingestion"]).describe()
        == pipelines["semi_supervised"].describe()
    )
    for stage in stages:
        assert all(stage in node.tags for node in pipelines[stage].nodes)
    methods = {node.namespace for node in pipelines["pretraining"].nodes}
    assert "semi_supervised.subject_wise.clusterclhar" in methods


def test_every_entry_is_persisted_except_the_reports_facts(finished: Project) -> None:
    stored = {path.name for path in finished.path.glob("data/**/*") if path.is_file()}
    assert {
        "recordings.parquet",
        "recordings_summary.parquet",
        "windows.parquet",
        "roles.parquet",
        "leakage.json",
        "method_check.json",
        "augmentation_preview.png",
        "encoders.safetensors",
        "history.parquet",
        "heads.safetensors",
        "predictions.parquet",
        "learning_curves.parquet",
        "embeddings.parquet",
        "scores.parquet",
        "summary.parquet",
        "metrics.json",
        "comparisons.parquet",
        "complexity.parquet",
        "calibration.parquet",
        "reliability.png",
        "answer.png",
        "answer_chart.json",
        "training_curves.png",
        "embedding_map_chart.json",
        "label_efficiency.png",
        "budgets.png",
        "critical_differences.png",
        "loss_curves.png",
        "cluster_agreement.png",
        "confusion_matrices.png",
        "subjects.png",
        "embedding_map.png",
        "report.html",
        "report_summary.md",
    } <= stored
    assert not list(finished.path.rglob(".writing-*"))


def test_scores_hold_every_cell(finished: Project) -> None:
    scores = read_table(max(finished.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet")), "scores")
    whole = scores[scores["group"] == "all"]
    assert set(whole[CELL_OF_PROTOCOL].itertuples(index=False, name=None)) == finished.cells("semi_supervised")
    assert set(whole["repeat"]) == {0, 1}
    assert whole[~whole["metric"].isin(["cohen_kappa", LATE_RISE])]["value"].between(0, 1).all()
    assert set(scores["dataset"]) == {"my_data"}


def test_the_bad_recording_is_reported(finished: Project) -> None:
    summary = read_table(finished.newest("recordings_summary.parquet"), "recordings_summary")
    (row,) = summary.dropna(subset=["rejected"]).to_dict("records")
    assert row["rejected"] == "s11"
    assert re.search(r"s11\.csv, row 7: unknown activity 'swim'", row["reason"])
    assert summary["subject"].nunique() == 10
    assert "row 7: unknown activity" in finished.newest("report.html").read_text()


def test_the_report_has_the_sections_that_apply_and_no_others(finished: Project) -> None:
    text = finished.newest("report.html").read_text()
    for words in ("Frequent and rare", "Words of", "share words", "Without a test window", "A colour is"):
        assert words not in text
    assert not list(finished.path.glob("data/**/word_*"))
    complexity = read_table(finished.newest("complexity.parquet"), "complexity")
    cells = {(method, evaluation) for _, method, evaluation, _ in finished.cells("semi_supervised")}
    assert set(complexity[["method", "evaluation"]].itertuples(index=False, name=None)) == cells
    assert not complexity.duplicated(["method", "evaluation"]).any()


def test_summary_in_markdown(finished: Project) -> None:
    text = finished.newest("report_summary.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ClusterCLHAR | Linear evaluation")]
    assert len(rows) == 2
    # Two edges, two names, and scores of windows and in sequence with the label budget of every evaluation.
    assert all(len(row.split("|")) == 2 + 2 + 2 for row in rows), "no published columns where nothing was published"
    table = next(part for part in text.split("\n\n") if part.startswith("| method"))
    assert table.splitlines()[1].startswith("|---|---|")


def test_reports_say_how_good_the_probabilities_of_the_recogniser_are(finished: Project) -> None:
    bins = read_table(finished.newest("calibration.parquet"), "calibration")
    counts = bins.groupby(["role", "calibrated"])["windows"].sum()
    assert counts["test"].nunique() == counts["validation"].nunique() == 1
    html, text = finished.newest("report.html").read_text(), finished.newest("report_summary.md").read_text()
    assert "<h3>Probabilities of the recogniser</h3>" in html
    (row,) = [line for line in text.partition("## Probabilities")[2].splitlines() if line.startswith("| inertial |")]
    assert len(row.split("|")) == 1 + 6 + 1
    assert all(0 <= float(error) <= 100 for error in row.split("|")[3:7])


def test_tracked_runs(finished: Project) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished.path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'contrastive_har'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert parents[0].data.params["semi_supervised.budget.epochs"] == "2"
    assert parents[0].data.params["dataset"] == "my_data"
    assert not [name for name in parents[0].data.params if name.startswith(("self_supervised.", "ablation"))]
    run_id = finished.newest("report.html").parent.name
    assert parents[0].info.run_name == f"semi_supervised · my_data · {run_id}"
    note = parents[0].data.tags["mlflow.note.content"]
    assert "\n\nWith 10 % of the labels, " in note
    assert "`kedro run " in note
    assert f"/runs/{parents[0].info.run_id}/artifacts/semi_supervised/report.html), [the table of scores](#" in note
    assert [item.path for item in client.list_artifacts(parents[0].info.run_id, "semi_supervised")] == [
        "semi_supervised/report.html"
    ]
    assert parents[0].data.metrics["peak_memory_gib"] > 0
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(finished.cells("semi_supervised"))
    assert {run.info.status for run in runs} == {"FINISHED"}
    used = {(item.dataset.name, item.dataset.digest) for run in runs for item in run.inputs.dataset_inputs}
    windows = read_windows(finished.stored("semi_supervised/windows.parquet"))
    digest = fingerprint(windows.signals, windows.table["activity"].to_numpy())[:8]
    assert used == {("my_data", digest)}, "the same windows, whatever the method"
    assert all(run.inputs.dataset_inputs for run in runs), "also the parent's"
    scores = read_table(max(finished.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet")), "scores")
    assert "SimCLR · linear evaluation · 10 % · unseen subjects" in {child.info.run_name for child in children}
    assert "in per cent" in children[0].data.tags["mlflow.note.content"]
    for child in children[:3]:
        tags = child.data.tags
        mine = scores[(scores["metric"] == "macro_f1") & (scores["group"] == "all")]
        for column in ("split", "method", "evaluation"):
            mine = mine[mine[column] == tags[column]]
        mine = mine[mine["label_budget"] == tags["label_budget"]]
        assert child.data.metrics["macro_f1"] == pytest.approx(mine["value"].mean())
    pictures = {
        (child.data.tags["label_budget"], *(artifact.path for artifact in client.list_artifacts(child.info.run_id)))
        for child in children
    }
    assert pictures == {("10 %", "confusion_matrix.png"), ("50 %",)}


def test_the_documented_search_gives_a_part_of_the_result_table(finished: Project) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished.path / 'mlflow.db'}")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/lineage.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "mlflow.search_runs" in block]
    *statements, table = code.strip().splitlines()
    names: dict[str, pd.DataFrame] = {}
    exec("\n".join(statements), names)
    found = eval(table, names)
    (search,) = re.findall(r"`(tags\.split = .*?)`", (ROOT / "docs/lineage.md").read_text())
    experiment = names["mlflow"].get_experiment_by_name("contrastive_har").experiment_id
    searched = mlflow.MlflowClient().search_runs([experiment], search.replace('"1 %"', '"10 %"'))
    assert {run.info.run_name for run in searched} == set(found["tags.mlflow.runName"])
    assert found["metrics.macro_f1"].is_monotonic_decreasing
    assert "SimCLR · linear evaluation · 10 % · unseen subjects" in set(found["tags.mlflow.runName"])


def test_a_click_on_the_description_of_a_run_shows_its_table_of_scores(finished: Project) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished.path / 'mlflow.db'}")
    experiment = mlflow.get_experiment_by_name("contrastive_har")
    assert experiment is not None
    (parent,) = mlflow.search_runs([experiment.experiment_id], "tags.kedro.env != ''", output_format="list")
    (key,) = re.findall(r"viewStateShareKey=([\w.]+)\)", parent.data.tags["mlflow.note.content"])
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    client = mlflow.MlflowClient()
    rows = client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=[f"{view['orderByKey']} DESC"])
    expected = [cell for cell in finished.cells("semi_supervised") if (cell[0], cell[3]) == ("subject_wise", "10 %")]
    assert len(rows) == len(expected) > 10
    values = [row.data.metrics["macro_f1"] for row in rows]
    assert values == sorted(values, reverse=True)
    shown = {column.partition(".")[2].strip("`") for column in view["selectedColumns"]}
    assert shown <= set(rows[0].data.metrics) | set(rows[0].data.tags)


def test_a_second_run_repeats_every_score_in_versions_of_its_own(finished_few: Project) -> None:
    def scores() -> tuple[Path, pd.DataFrame]:
        path = max(finished_few.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet"))
        return path, read_table(path, "scores")

    (before, first) = scores()
    torch.manual_seed(12345)
    state = torch.get_rng_state()
    finished_few.run(pipeline="pretraining")
    finished_few.run(pipeline="evaluation")
    (after, second) = scores()
    assert after != before
    pd.testing.assert_frame_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random state is left alone"


def test_the_self_supervised_protocol(tmp_path: Path) -> None:
    project = make_project(tmp_path, FEW, "self_supervised")
    project.run("self_supervised")
    scores = read_table(project.newest("scores.parquet"), "scores")
    cells = set(scores[CELL_OF_PROTOCOL].itertuples(index=False, name=None))
    assert cells == project.cells("self_supervised")
    assert ("groups", "csshar", "linear_as_printed", "100 %") in cells
    report = project.newest("report.html").read_text(encoding="utf-8")
    assert "Linear, rate chosen" in report
    assert "whole encoder trained" in report


@pytest.mark.slow
def test_one_ablation_by_its_namespace(tmp_path: Path) -> None:
    project = make_project(tmp_path, FEW, "ablation")
    project.run("ingestion")
    project.run("ablation", namespaces=("ablation_budget",))
    scores = read_table(project.newest("scores.parquet"), "scores")
    assert set(scores["protocol"]) == {"ablation_budget"}
    assert scores["method"].nunique() == 11, "nine budgets and two rows of fixed features"
    history = {
        path.parts[-4]: len(read_table(path, "history"))
        for path in project.path.glob("data/06*/**/history.parquet/*/history.parquet")
    }
    assert history["small_long"] == 4 * history["small_short"] > 0
    assert "one line per batch size" in project.newest("report.html").read_text(encoding="utf-8")


def test_a_report_of_other_settings_is_refused(finished_few: Project) -> None:
    def changed_to(**settings: Any) -> dict[str, Any]:
        return {"semi_supervised": {**TINY["semi_supervised"], **settings}}

    others: dict[str, dict[str, Any]] = {
        "seed": {"seed": 1},
        r"budget\.batch_size": changed_to(budget={"epochs": 2, "batch_size": 64}),
        r"budget\.epochs": changed_to(budget={"epochs": 3, "batch_size": 128}),
        ".*repeats": changed_to(repeats=1),
        ".*label_budgets": changed_to(label_budgets=["10 %"]),
    }
    for changed, other in others.items():
        with pytest.raises(ValueError, match=rf"other settings: {changed}\. Give the --env and --params"):
            finished_few.run(pipeline="reporting", **other)
    log = max(finished_few.path.glob("data/08_reporting/run_log.jsonl/*/*"))
    assert "other settings" in log.read_text()


def test_local_configuration_may_change_a_part(project: Project) -> None:
    """The example of docs/your_data.md: conf/local says what it changes and nothing else."""
    docs = (ROOT / "docs/your_data.md").read_text()
    example = next(block for block in re.findall(r"```yaml\n(.*?)```", docs, re.DOTALL) if "semi_supervised" in block)
    (project.path / "conf/local/parameters.yml").write_text(example)
    with contextlib.chdir(project.path):
        assert "pretraining" in register_pipelines()
    project.run(pipeline="ingestion", semi_supervised={})
    evaluations = {name: {"label_budgets": None, "batch_size": 8} for name in ("linear", "fine_tuning", "supervised")}
    evaluations |= {name: {"label_budgets": None} for name in ("self_trained", "ridge")}
    project.run(pipeline="windowing", semi_supervised={"label_budgets": ["50 %"], "evaluations": evaluations})
    assert read_windows(project.newest("windows.parquet")).length == 128


def test_an_environment_takes_the_place_of_the_local_one(project: Project) -> None:
    """With ``--env=paper`` a row of conf/local has neither parameters nor nodes."""
    row = {"title": "Mine", "objective": {"name": "untrained"}, "evaluations": ["linear"]}
    added = {"semi_supervised": {"methods": {"mine": row}}}
    (project.path / "conf/local/parameters.yml").write_text(yaml.safe_dump(added))
    for environment, known in (("paper", False), (None, True)):
        with contextlib.chdir(project.path), RunSession.create(project.path, env=environment) as session:
            methods = session.load_context().params["semi_supervised"].methods
            namespaces = {node.namespace for node in register_pipelines()["semi_supervised"].nodes}
        assert ("mine" in methods, "semi_supervised.paper.mine" in namespaces) == (known, known)


def test_a_planted_leak_fails_the_run_and_marks_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = leakage.count_leakage

    def leaky(windows: Windows, roles: Roles, split: SplitSettings) -> object:
        leaked = roles.table[roles.table["role"] == "test"].head(1).assign(role="train")
        return honest(windows, Roles(pd.concat([roles.table, leaked])), split)

    monkeypatch.setattr(leakage, "count_leakage", leaky)
    project.run(pipeline="ingestion")
    with pytest.raises(LeakageError, match="'subject_wise' claims to be leak-free"):
        project.run(pipeline="windowing")
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    states = {
        run.info.run_name: run.info.status
        for run in mlflow.search_runs(search_all_experiments=True, output_format="list")
    }
    assert {name.partition(" · ")[0]: state for name, state in states.items()} == {
        "ingestion": "FINISHED",
        "windowing": "FAILED",
    }


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dataset": "nope"}, "unknown data set 'nope'"),
        ({"semi_supervised": {"repeats": -1}}, "repeats"),
        ({"compute": {"device": "toaster"}}, "toaster"),
    ],
)
def test_bad_parameters_stop_before_anything_runs(project: Project, params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterValidationError, match=message):
        project.run(pipeline="semi_supervised", **params)
    assert not list(project.path.glob("data/02*/**/*.parquet"))


def test_one_data_set_is_not_stored_as_another(project: Project) -> None:
    with pytest.raises(ValueError, match=r"ingestion.dataset follows dataset: use --params=dataset=NAME"):
        project.run("ingestion", ingestion={"dataset": "watch"})
    assert not list(project.path.glob("data/02*/**/*.parquet"))


def test_a_bad_recording_stops_the_run_when_asked_to(project: Project) -> None:
    with pytest.raises(Exception, match=r"s11\.csv, row 7"):
        project.run(pipeline="ingestion", ingestion={"on_bad_recording": "fail"})
    assert not [path for path in project.path.glob("data/02*/**/*") if path.is_file()]


def test_a_missing_tracking_server_is_reported_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (project.path / "conf/local/mlflow.yml").write_text("tracking_uri: http://127.0.0.1:9\nexperiment: x\n")
    with pytest.raises(RuntimeError, match=r"http://127\.0\.0\.1:9 cannot be used.*Start the server"):
        project.run(pipeline="ingestion")
    assert not list(project.path.glob("data/02*/**/*.parquet"))


def test_notebook(finished: Project) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "notebooks/explore_run.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    source = notebook.cells[1]["source"]
    assert 'DATASET = "uci_har"' in source
    notebook.cells[1]["source"] = source.replace('DATASET = "uci_har"', 'DATASET = "my_data"')
    folder = finished.path / "notebooks"
    folder.mkdir(exist_ok=True)
    done = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    text = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert "windows of 10 subjects" in text


def test_a_launchers_worker_writes_nothing(finished_few: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With torchrun every process runs the pipeline; only the first may leave results and a tracked run."""

    def left_behind() -> tuple[set[Path], int]:
        mlflow.set_tracking_uri(f"sqlite:///{finished_few.path / 'mlflow.db'}")
        files = finished_few.path.glob("data/**/*.*")
        # This stand-in trains alone and saves its state; a process of a higher rank doesn't.
        stored = {path for path in files if "checkpoints" not in path.parts}
        return stored, len(mlflow.search_runs(search_all_experiments=True))

    before = left_behind()
    monkeypatch.setenv("RANK", "1")
    # The worker itself, without the first process: this one trains alone.
    monkeypatch.setattr(ComputeSettings, "run", lambda self, work, *arguments: work(self.resolve(), *arguments))
    finished_few.run("pretraining", compute={"processes": 2})
    assert left_behind() == before
    assert list(finished_few.path.glob("data/06*/**/checkpoints/*/*")), "the first process still needs its states"
    with pytest.raises(RuntimeError, match="resume=true is for a single process"):
        finished_few.run("pretraining", compute={"processes": 2}, resume=True)
    with pytest.raises(RuntimeError, match="run kedro run --pipelines=ingestion,windowing alone first"):
        finished_few.run("windowing", compute={"processes": 2})


def test_an_independent_run_under_a_launcher_keeps_its_results(
    finished_few: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    before = finished_few.newest("summary.parquet")
    finished_few.run("reporting")
    assert finished_few.newest("summary.parquet") > before
