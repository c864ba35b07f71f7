"""Which windows to label: the protocol that tries strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.labelling.conftest import SUBJECTS, write_unlabelled
from tests.pipelines.conftest import FEW, Project, make_project

METHODS = ("random_init", "clusterclhar_strong")
CHOOSING: dict[str, Any] = {
    "repeats": 1,
    "windows": {"length": 64, "stride": 32},
    "label_budgets": ["10 %"],
    "budget": {"epochs": 1, "batch_size": 128},
    "choosing": {"labels": [3, 6], "draws": 2, "wrong_labels": [0.2]},
}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose protocol of strategies has run."""
    project = make_project(tmp_path_factory.mktemp("choosing"), FEW, "choosing_labels")
    file = project.path / "conf/base/parameters_choosing_labels.yml"
    protocol = yaml.safe_load(file.read_text())
    rows = protocol["choosing_labels"]["methods"]
    protocol["choosing_labels"]["methods"] = {name: rows[name] for name in METHODS}
    file.write_text(yaml.safe_dump(protocol, sort_keys=False))
    (project.path / "conf/paper/parameters_choosing_labels.yml").unlink()
    project.run("choosing_labels", choosing_labels=CHOOSING)
    return project


def test_all_strategies_are_tried_on_all_encoders(chosen: Project) -> None:
    trials = pd.read_parquet(chosen.stored("choosing_labels/trials.parquet"))
    assert set(trials["split"]) == {"paper", "subject_wise"}
    assert set(trials["method"]) == set(METHODS)
    assert set(trials["strategy"]) == {
        "random",
        "cluster_centres",
        "cluster_centres_unit",
        "typical",
        "core_set",
        "margin",
        "badge",
        "random_stretches",
        "cluster_centres_stretches",
    }
    assert len(trials) == 2 * 2 * 9 * 2 * 2 * 2  # splits, methods, strategies, numbers, shares of wrong labels, draws


def test_the_page_and_the_figure_are_stored(chosen: Project) -> None:
    page = chosen.stored("choosing_labels/trials_report.md").read_text()
    assert "## ClusterCLHAR, strong, unseen subjects, 20 % of labels wrong" in page
    assert chosen.stored("choosing_labels/trials_curves.png").stat().st_size > 10_000


def test_windows_of_a_folder_are_proposed(chosen: Project, tmp_path: Path) -> None:
    folder = write_unlabelled(tmp_path / "recordings")
    chosen.run("labelling", recordings=str(folder), labelling={"windows": 7})
    proposed = pd.read_csv(chosen.stored("proposed_windows.csv"))
    assert list(proposed.columns) == ["recording", "start", "end", "seconds", "why"]
    assert len(proposed) == 7
    assert {path.name for path in folder.iterdir()} == {*(f"{name}.csv" for name in SUBJECTS), "dataset.yml"}
