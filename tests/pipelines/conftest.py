"""A project of its own for every test run: the real configuration, tiny recordings, and one finished run."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner

from contrastive_har.refining import refine, resolve_bases
from contrastive_har.runs import (
    moving,
    tracking_server,  # noqa: F401 - before MLflow changes the environment
)
from contrastive_har.runs.session import RunSession
from tests.conftest import OWN_DESCRIPTION, own_frame

ROOT = Path(__file__).parents[2]

TINY: dict[str, Any] = {
    "dataset": "my_data",
    "report": {"tsne_windows": 30},
    "semi_supervised": {
        "windows": {"length": 64, "stride": 32},
        "label_budgets": ["10 %", "50 %"],
        "budget": {"epochs": 2, "batch_size": 128},
        "evaluations": {
            "linear_published": {"epochs": 20, "test_every": 10, "batch_size": {"10 %": 8, "other": 32}},
            "fine_tuning": {"epochs": 2, "test_every": 1, "batch_size": 8, "least_steps": 1, "label_budgets": ["10 %"]},
            "supervised": {"epochs": 2, "test_every": 1, "batch_size": 8, "least_steps": 1, "label_budgets": ["10 %"]},
            "self_trained": {"label_budgets": ["10 %"]},
            "ridge": {"label_budgets": ["10 %"]},
        },
    },
    "self_supervised": {
        "repeats": 1,
        "windows": {"length": 64, "stride": 32},
        "label_budgets": ["50 %", "100 %"],
        "budget": {"epochs": 1, "batch_size": 128},
        "methods": {
            "masked_reconstruction": {"encoder": {"channels": [8], "feedforward": 8}},
            "csshar": {"encoder": {"channels": [8, 8, 8], "heads": 2, "feedforward": 8}},
            "cpc": {"encoder": {"hidden": 8}},
        },
        "evaluations": {
            "linear_as_printed": {"epochs": 2, "test_every": 1, "batch_size": 64},
            "linear": {"epochs": 2, "test_every": 1, "batch_size": 64},
            "supervised": {"epochs": 1, "test_every": 1},
        },
    },
}
for _table in ("clustering", "clusters", "confidence", "budget", "strong", "encoders"):
    TINY[f"ablation_{_table}"] = {
        "windows": {"length": 64, "stride": 32},
        "label_budgets": ["20 %"],
        "budget": {"epochs": 1, "batch_size": 128},
        "evaluations": {
            "linear": {"epochs": 2, "test_every": 1, "batch_size": 16},
            "fine_tuning": {"epochs": 1, "test_every": 1, "batch_size": 16, "label_budgets": ["20 %"]},
        },
    }


@dataclass(frozen=True)
class Project:
    """A copy of the project's configuration with recordings of its own."""

    path: Path

    @property
    def tiny(self) -> dict[str, Any]:
        """``TINY`` without the protocols that the project does not have."""
        files = {path.stem for path in self.path.glob("conf/base/*.yml")}
        missing = tuple(name for name in ("self_supervised", "ablation") if f"parameters_{name}" not in files)
        return {name: value for name, value in TINY.items() if not name.startswith(missing)}

    def run(self, pipeline: str = "__default__", namespaces: tuple[str, ...] = (), **params: Any) -> None:
        """Run pipelines as ``kedro run --pipelines=... --namespaces=... --params=...`` does."""
        # kedro-viz notes events in the folder it is started in: not in the real project.
        with contextlib.chdir(self.path):
            bootstrap_project(self.path)  # another project of the same process may have been looked at since
            self._run(pipeline, namespaces, params)

    def _run(self, pipeline: str, namespaces: tuple[str, ...], params: dict[str, Any]) -> None:
        with RunSession.create(self.path, runtime_params={**self.tiny, **params}) as session:
            session.run(pipeline_names=pipeline.split(","), namespaces=namespaces, runner=SequentialRunner())

    def cells(self, protocol: str) -> set[tuple[str, str, str, str]]:
        """What the stored configuration has scored: split, method, evaluation and label budget."""
        settings = yaml.safe_load((self.path / f"conf/base/parameters_{protocol}.yml").read_text())[protocol]
        rows = resolve_bases(settings["methods"])
        evaluations = refine(settings["evaluations"], TINY[protocol]["evaluations"])
        return {
            (split, method, evaluation, budget)
            for split in settings["splits"]
            for method, row in rows.items()
            for evaluation in row["evaluations"]
            for budget in TINY[protocol]["label_budgets"]
            if budget in evaluations[evaluation].get("label_budgets", [budget])
        }

    def replace_recordings(self, frames: Mapping[str, pd.DataFrame], description: Mapping[str, Any]) -> None:
        """Put own recordings, by name of the file, in the place of those that the project has."""
        folder = self.path / "data/01_raw/my_data"
        shutil.rmtree(folder)
        folder.mkdir()
        for name, frame in frames.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
        (folder / "dataset.yml").write_text(yaml.safe_dump(dict(description), sort_keys=False))

    def stored(self, name: str) -> Path:
        """The newest version of a stored file of a protocol or a cell, by its path without the layer."""
        (folder,) = self.path.glob(f"data/*/my_data/{name}")
        return max(folder.iterdir()) / folder.name

    def newest(self, name: str) -> Path:
        """The newest version of a stored file."""
        return max(self.path.glob(f"data/**/{name}/*/{name}"))


@functools.cache
def empty_tracking_database() -> bytes:
    """MLflow's database without runs: making one takes MLflow seconds."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.MlflowClient(uri).search_experiments()
        return Path(folder, "mlflow.db").read_bytes()


def make_project(path: Path, methods: tuple[str, ...] = (), other: str | None = None) -> Project:
    """Make a project with tiny recordings; with ``methods``, of the main job only these, and no protocol but ``other``.

    Kedro reads, resolves and stores all parameters in every run, which takes longer than most nodes here.
    """
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, path)
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf/local").mkdir()
    if methods:
        for parameters in path.glob("conf/*/parameters_semi_supervised.yml"):
            settings = yaml.safe_load(parameters.read_text())
            of_all = settings["semi_supervised"]["methods"]
            settings["semi_supervised"]["methods"] = {name: of_all[name] for name in methods if name in of_all}
            parameters.write_text(yaml.safe_dump(settings, sort_keys=False))
        for file in path.glob("conf/*/parameters_*.yml"):
            if file.stem.removeprefix("parameters_") not in {"semi_supervised", other}:
                file.unlink()
    (path / "src").mkdir()
    (path / "mlflow.db").write_bytes(empty_tracking_database())
    folder = path / "data/01_raw/my_data"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, 11):
        own_frame(f"s{number}", rng, seconds=6).to_csv(folder / f"s{number}.csv", index=False)
    bad = own_frame("s11", rng, seconds=6)
    bad.loc[5, "activity"] = "swim"
    bad.to_csv(folder / "s11.csv", index=False)
    (folder / "dataset.yml").write_text(yaml.safe_dump(OWN_DESCRIPTION))
    bootstrap_project(path)
    return Project(path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose main job has run."""
    project = make_project(tmp_path_factory.mktemp("project"))
    project.run()
    return project


FEW = ("supervised", "simclr", "clusterclhar")


@pytest.fixture(scope="session")
def finished_few(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with few methods whose main job has run."""
    project = make_project(tmp_path_factory.mktemp("few"), FEW)
    project.run()
    return project


@pytest.fixture
def once(finished_few: Project, tmp_path: Path) -> Project:
    """A copy of a project in which everything has been finished once."""
    shutil.copytree(finished_few.path, tmp_path / "copy")
    moving.correct(tmp_path / "copy")
    return Project(tmp_path / "copy")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with few methods in which nothing has run yet."""
    return make_project(tmp_path, FEW)


@pytest.fixture
def everything(tmp_path: Path) -> Project:
    """A project with all protocols in which nothing has run yet."""
    return make_project(tmp_path)
