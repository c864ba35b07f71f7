"""The start of a run: nothing is read twice, and nothing is made that the run does not need."""

from __future__ import annotations

import contextlib
import gc
import inspect
import subprocess
import sys
from typing import Any, get_type_hints

import pytest
from kedro.framework.project import pipelines
from kedro.pipeline.node import Node
from omegaconf import OmegaConf
from pydantic import BaseModel

from contrastive_har.pipeline_registry import PipelineOnDemand
from contrastive_har.runs.hooks.tracking import TrackingHooks
from contrastive_har.runs.session import MAIN, RunSession
from tests.pipelines.conftest import Project


def test_no_file_of_the_configuration_is_read_twice(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = OmegaConf.load

    def noted(file: Any) -> Any:
        read.append(file.read())
        file.seek(0)
        return load(file)

    monkeypatch.setattr(OmegaConf, "load", noted)
    project.run("ingestion")
    files = [path.read_text() for path in project.path.glob("conf/base/*.yml") if path.name != "airflow.yml"]
    assert sorted(read) == sorted(files)


class _StartedError(Exception):
    """The first node would run now."""


def test_the_default_pipeline_is_the_only_one_that_is_built(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*arguments: Any) -> None:
        raise _StartedError

    monkeypatch.setattr(Node, "run", start)
    with pytest.raises(_StartedError):
        project.run()
    built = {name for name, one in pipelines.items() if isinstance(one, PipelineOnDemand) and "_nodes" in vars(one)}
    assert built == {MAIN, "__default__"}


LATER = (
    *("IPython", "git", "lightning_fabric", "matplotlib", "plotly"),
    *("sklearn", "scipy.stats", "tokenizers", "wordllama", "xgboost"),
)
"""Packages that take long to import and that the first node does not need."""
START = """
import sys
from kedro.framework.cli import main
from kedro.pipeline.node import Node
def start(*arguments, **options):
    sys.exit(" ".join(sorted(modules & sys.modules.keys())))
Node.run, modules = start, set(sys.argv[2:])
sys.argv[2:] = []
main()
"""


def test_nothing_is_imported_before_it_is_needed(project: Project) -> None:
    command = [sys.executable, "-c", START, "run", "mlflow", "torch", *LATER]
    started = subprocess.run(command, cwd=project.path, capture_output=True, text=True)
    assert started.stderr.splitlines()[-1] == "mlflow torch", started.stderr


def test_the_garbage_collector_rests_until_the_first_node(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    collects: list[bool] = []
    hooks, run = TrackingHooks._start, Node.run

    def before(*arguments: Any) -> None:
        collects.append(gc.isenabled())
        hooks(*arguments)

    def first(*arguments: Any) -> Any:
        collects.append(gc.isenabled())
        return run(*arguments)

    monkeypatch.setattr(TrackingHooks, "_start", before)
    monkeypatch.setattr(Node, "run", first)
    project.run("ingestion")
    assert collects[:2] == [False, True]
    with pytest.raises(ValueError, match="there is no parameter"):
        project.run("ingestion", sed=1)
    assert gc.isenabled(), "also where nothing was run"


ENDED = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count(), file=sys.stderr))
from kedro.framework.cli import main
main()
"""


def test_nothing_is_collected_when_the_program_ends(project: Project) -> None:
    command = [sys.executable, "-c", ENDED, "run", "--pipeline=ingestion", "--params=sed=1"]
    ended = subprocess.run(command, cwd=project.path, capture_output=True, text=True)
    assert int(ended.stderr.splitlines()[-1]) > 100_000, ended.stderr


def test_kedro_can_look_at_the_types_of_all_nodes(project: Project) -> None:
    """It validates the parameters of those whose types it finds, and skips the others with a warning."""
    with contextlib.chdir(project.path), RunSession.create(project.path, runtime_params=project.tiny) as session:
        session.load_context()
        functions = {inspect.unwrap(node.func) for one in pipelines.values() for node in one.nodes}
    assert len(functions) > 30
    for function in functions:
        get_type_hints(function)


def test_plans_are_one_entry_of_the_catalog_each(project: Project) -> None:
    with contextlib.chdir(project.path), RunSession.create(project.path, runtime_params=project.tiny) as session:
        catalog = session.load_context().catalog
    plans = [name for name in catalog if name.startswith("params:plans.")]
    assert f"params:{MAIN}" in catalog
    assert not any(name.startswith(f"params:{MAIN}.") for name in catalog)
    assert f"params:plans.{MAIN}.pretraining.simclr" in plans
    assert all(isinstance(catalog.load(name), BaseModel) for name in plans)
