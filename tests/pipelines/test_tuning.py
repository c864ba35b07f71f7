"""Rows tuned alike: the protocol that searches for settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from contrastive_har.files.tables import read_facts
from contrastive_har.learning import tuning
from contrastive_har.protocols import IllPosedError
from tests.pipelines.conftest import FEW, Project, make_project

METHODS = ("hand_features", "simclr")
ROWS = [("hand_features", "linear"), ("hand_features", "self_trained"), ("simclr", "linear")]
ROW = ["split", "method", "evaluation"]
TUNING: dict[str, Any] = {
    "windows": {"length": 64, "stride": 32},
    "label_budgets": ["10 %", "50 %"],
    "budget": {"epochs": 1, "batch_size": 128},
    "evaluations": {"linear": {"head": {"inverse_penalty": 1e-9}}},
    "search": {"trials": 3},
}
HERE = {"workers": 1}
"""In this process, where functions can be replaced."""


def make_tuning(path: Path) -> Project:
    project = make_project(path, FEW, "tuning")
    file = project.path / "conf/base/parameters_tuning.yml"
    settings = yaml.safe_load(file.read_text())["tuning"]
    for part in (settings["methods"], settings["search"]["spaces"]):
        for name in set(part) - set(METHODS):
            del part[name]
    settings["compared_with"] = "simclr"
    file.write_text(yaml.safe_dump({"tuning": settings}, sort_keys=False))
    (project.path / "conf/paper/parameters_tuning.yml").unlink()
    return project


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose protocol of tuned rows has run."""
    project = make_tuning(tmp_path_factory.mktemp("tuning"))
    project.run("tuning", tuning=TUNING)
    return project


def table(project: Project, name: str) -> pd.DataFrame:
    return pd.read_parquet(project.stored(f"tuning/{name}.parquet"))


def test_every_row_tries_equally_many_settings_and_chooses_one_in_each_repeat(tuned: Project) -> None:
    trials = table(tuned, "trials")
    assert set(trials["method"]) == set(METHODS)
    for _, of_repeat in trials.groupby([*ROW, "repeat"]):
        assert of_repeat["trial"].tolist() == [0, 1, 2]
        assert of_repeat["setting"].nunique() == 3
        assert of_repeat["chosen"].sum() == 1
        best = of_repeat.loc[of_repeat["chosen"], "validation_macro_f1"].iloc[0]
        assert best == of_repeat["validation_macro_f1"].max()


def test_the_table_has_rows_untuned_and_tuned(tuned: Project) -> None:
    summary, scores = table(tuned, "tuning_summary"), table(tuned, "tuned_scores")
    assert len(summary) == len(ROWS) * 2  # label budgets
    assert (summary["repeats"] == 2).all()
    of_simclr = summary[summary["method"] == "simclr"]
    assert (of_simclr["tuned"] > of_simclr["untuned"]).all(), "as configured, its head learns nearly nothing"
    assert (summary["tuned"] - summary["untuned"] - summary["difference"]).abs().max() < 1e-9
    assert set(scores["setting"]) == {"untuned", "tuned"}
    page = tuned.stored("tuning/tuning_report.md").read_text()
    assert "| Hand features | Linear evaluation |" in page
    assert tuned.stored("tuning/tuning_figure.png").stat().st_size > 10_000


def test_the_audit_covers_the_windows_that_choose(tuned: Project) -> None:
    audit = read_facts(tuned.stored("tuning/subject_wise/leakage.json"), "leakage")
    assert audit["leak_free"]
    for of_budget in audit["by_label_budget"]:
        assert of_budget["windows"]["validation"] > 0
        assert set(of_budget["shared_with"]["validation"].values()) == {0}


def test_rows_are_tracked_with_their_trials_as_steps(tuned: Project) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tuned.path / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    tags = ("method", "evaluation", "label_budget")
    cells = {tuple(run.data.tags[tag] for tag in tags): run for run in runs if "method" in run.data.tags}
    assert set(cells) == {(*row, budget) for row in ROWS for budget in TUNING["label_budgets"]}
    summary, trials = table(tuned, "tuning_summary"), table(tuned, "trials")
    for row in summary.itertuples():
        run = cells[row.method, row.evaluation, row.label_budget]
        assert run.data.metrics["tuned_macro_f1"] == pytest.approx(row.tuned)
        mine = trials.query("method == @row.method and evaluation == @row.evaluation and repeat == 1")
        steps = mlflow.MlflowClient().get_metric_history(run.info.run_id, "validation_macro_f1_repeat_1_by_trial")
        assert [(one.step, one.value) for one in sorted(steps, key=lambda one: one.step)] == [
            (trial, pytest.approx(value)) for trial, value in mine[["trial", "validation_macro_f1"]].to_numpy()
        ]
        assert json.loads(run.data.params["setting_repeat_1"]) == json.loads(mine["setting"][mine["chosen"]].iloc[0])


def test_a_value_that_the_windows_do_not_allow_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    project = make_tuning(tmp_path)
    many = {"choices": {"none": None, "many": {"name": "kmeans", "clusters": 1000}}}
    changed = {**TUNING, "search": {"trials": 3, "spaces": {"simclr": {"objective.clustering": many}}}}
    with pytest.raises(IllPosedError, match="Method 'simclr' asks for 1000 clusters"):
        project.run("tuning", tuning=changed)
    assert not list(project.path.glob("data/07_model_output/my_data/tuning/**/trial_*"))


def test_a_run_that_was_broken_off_goes_on_with_the_trials_it_had(
    tuned: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_tuning(tmp_path)
    tried: list[str] = []
    try_setting = tuning.try_setting

    def noted(windows: Any, roles: Any, plan: tuning.TrialPlan, *others: Any) -> Any:
        if len(tried) == 4:
            raise MemoryError("no memory left")
        tried.append(f"{plan.pretraining.name} {plan.number}")
        return try_setting(windows, roles, plan, *others)

    monkeypatch.setattr(tuning, "try_setting", noted)
    with pytest.raises(MemoryError):
        project.run("tuning", tuning=TUNING, compute=HERE)
    before, tried[:] = list(tried), []
    project.run("tuning", tuning=TUNING, compute=HERE, resume=True)
    assert len(before) == 4
    assert sorted([*before, *tried]) == sorted(f"{method} {number}" for method in METHODS for number in range(3))
    for name in ("trials", "tuned_scores", "tuning_summary"):
        pd.testing.assert_frame_equal(table(project, name), table(tuned, name))
