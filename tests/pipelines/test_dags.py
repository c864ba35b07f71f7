"""DAG files for Airflow: what they would run, without Airflow."""

from __future__ import annotations

import ast
import contextlib
import re
import runpy
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jinja2
import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from contrastive_har.runs.dags import ScheduleSettings, _datasets_of, divide, write_dags
from contrastive_har.runs.session import RUN_ID
from contrastive_har.runs.settings import load_configuration
from contrastive_har.sources import source_names
from tests.pipelines.conftest import FEW, Project


@pytest.mark.parametrize("name", ["semi_supervised", "self_supervised", "ablation", "tuning"])
def test_tasks_run_every_node_once_and_follow_the_data(everything: Project, name: str) -> None:
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        pipeline = pipelines[name]
        tasks, edges = divide(pipeline)
    assert sorted(node for task in tasks for node in task.nodes) == sorted(node.name for node in pipeline.nodes)
    task_of = {node: task.name for task in tasks for node in task.nodes}
    made = {output: task_of[node.name] for node in pipeline.nodes for output in node.outputs}
    wanted = {
        (made[needed], task_of[node.name])
        for node in pipeline.nodes
        for needed in node.inputs
        if needed in made and made[needed] != task_of[node.name]
    }
    assert set(edges) == wanted
    left = {task.name for task in tasks}
    while left:  # no task waits for itself, however indirectly
        ready = {name for name in left if not any(after == name and before in left for before, after in edges)}
        assert ready
        left -= ready


def test_methods_are_tasks_of_their_own(everything: Project) -> None:
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        tasks, _ = divide(pipelines["semi_supervised"])
    groups = {task.name: task.group for task in tasks}
    for method in FEW:
        assert groups[f"semi_supervised.paper.{method}.pretraining"] == "semi_supervised-paper"
    assert groups["ingestion"] == ""
    assert sum(name.endswith("reporting") for name in groups) == 1, "its nodes hand each other what is not stored"


def test_a_dag_offers_the_data_sets_that_have_its_tasks(everything: Project) -> None:
    parameters = load_configuration(everything.path)["parameters"]
    assert _datasets_of("semi_supervised", parameters) == source_names()
    of_modalities = _datasets_of("multimodal", parameters)
    assert "watch" in of_modalities
    assert "mmact" not in of_modalities, "it has splits by session and by scene"
    assert "mmact" in _datasets_of("multimodal", {**parameters, "dataset": "mmact"})


def execute(path: Path) -> dict[str, dict[str, object]]:
    """Run a DAG file against stand-ins for Airflow's classes; return what each operator was made with."""
    made: dict[str, dict[str, object]] = {}

    class Anything:
        def __init__(self, *arguments: object, **options: object) -> None:
            if "task_id" in options:
                made[str(options["task_id"])] = options

        def __enter__(self) -> Anything:
            return self

        def __exit__(self, *error: object) -> None:
            return None

        def __rshift__(self, other: Anything) -> Anything:
            return other

    modules = {
        name: ModuleType(name) for name in ("airflow", "airflow.sdk", "airflow.providers.standard.operators.bash")
    }
    for module in modules.values():
        vars(module).update(DAG=Anything, Param=Anything, TaskGroup=Anything, BashOperator=Anything)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        for name in ("airflow.providers", "airflow.providers.standard", "airflow.providers.standard.operators"):
            patch.setitem(sys.modules, name, ModuleType(name))
        runpy.run_path(str(path))
    return made


def rendered(command: object) -> str:
    """Return a command of a DAG run that was due on a Sunday at midnight, as Airflow fills it in."""
    return (
        jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)
        .from_string(str(command))
        .render(
            dag_run=SimpleNamespace(run_after=datetime(2026, 1, 4, tzinfo=UTC)),
            macros=SimpleNamespace(timedelta=timedelta),
            params={"dataset": "my_data", "env": "local", "workers": 1},
        )
    )


def test_dag_files_are_python_that_needs_airflow_only(everything: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", '/my "own" folder\'s/.venv/bin/python')
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        written = write_dags(everything.path)
    assert [path.name for path in written] == [
        f"contrastive_har_{name}.py" for name in ("semi_supervised", "self_supervised", "ablation", "tuning")
    ]
    tree = ast.parse(written[0].read_text())
    imported = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported == {"airflow", "datetime"}
    operators = execute(written[0])
    assert len(operators) == len(divide(pipelines["semi_supervised"])[0])
    command = operators["semi_supervised.paper.simclr.pretraining"]["bash_command"]
    assert "--nodes=semi_supervised.paper.simclr.pretrain_encoders" in command
    parameters = "run_id=2026-01-04T00.00.00.000Z,dataset=my_data,compute.workers=1"
    assert f"--env=local --params={parameters} --nodes=" in rendered(command)
    assert shlex.split(rendered(command))[:2] == ['/my "own" folder\'s/.venv/bin/kedro', "run"]
    text = written[0].read_text()
    assert "max_active_runs=1" in text
    assert "catchup=False" in text
    assert "schedule='@weekly'" in text
    assert not list(Path(everything.path / "dags").glob(".writing-*"))


def test_dags_that_are_due_together_are_runs_of_their_own(everything: Project) -> None:
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        written = write_dags(everything.path)
    ids = []
    for path in written:
        commands = [rendered(operator["bash_command"]) for operator in execute(path).values()]
        (run_id,) = {command.partition("--params=run_id=")[2].partition(",")[0] for command in commands}
        assert RUN_ID.fullmatch(run_id)
        ids.append(run_id)
    assert len(set(ids)) == len(written)


def test_a_folder_whose_name_ends_like_a_script_is_no_template(everything: Project) -> None:
    """Airflow reads what ends in .sh as a file of a template."""
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        written = write_dags(everything.path)
    operators = execute(written[0])
    assert {str(operator["cwd"]) for operator in operators.values()} == {f"{everything.path}/"}


def test_dags_of_pipelines_that_are_no_longer_listed_are_deleted(everything: Project) -> None:
    (everything.path / "conf/local/airflow.yml").write_text("folder: for/airflow\npipelines: [tuning, ablation]\n")
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        write_dags(everything.path)
        own = everything.path / "for/airflow/contrastive_har_mine.py"
        own.write_text("# a DAG by hand\n")
        (everything.path / "conf/local/airflow.yml").write_text("folder: for/airflow\npipelines: [tuning]\n")
        (kept,) = write_dags(everything.path)
    assert sorted(kept.parent.iterdir()) == [own, kept]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("folder: pyproject.toml", "folder 'pyproject.toml' is a file or in one"),
        ("folder: pyproject.toml/dags", "is a file or in one"),
        ("schedule: every day at noon", "'every day at noon' is no cron expression of five fields"),
        ("schedule: '0 12 * *'", "no cron expression"),
        ("schedule: '@dayly'", "nor one of @once"),
    ],
)
def test_what_airflow_could_not_run_is_refused(everything: Project, changed: str, reason: str) -> None:
    (everything.path / "conf/local/airflow.yml").write_text(changed)
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        with pytest.raises(ValueError, match=re.escape(reason)):
            write_dags(everything.path)


@pytest.mark.parametrize("schedule", ["0 12 * * 1-5", "*/15 0,12 1 JAN MON#1", "@daily", None])
def test_schedules_of_airflow_are_accepted(schedule: str | None) -> None:
    settings = {"start_date": "2026-01-01", "pipelines": ["tuning"], "schedule": schedule}
    assert ScheduleSettings.model_validate(settings).schedule == schedule


def test_a_folder_with_marks_of_jinja_is_refused(everything: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a {{ 1 + 1 }} b/.venv/bin/python")
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        with pytest.raises(ValueError, match="Airflow would fill in what stands in braces"):
            write_dags(everything.path)


def test_a_pipeline_that_does_not_exist_is_refused(everything: Project) -> None:
    (everything.path / "conf/local/airflow.yml").write_text("pipelines: [self_supervized]")
    with contextlib.chdir(everything.path):
        bootstrap_project(everything.path)
        with pytest.raises(ValueError, match=r"no pipeline 'self_supervized'\. Did you mean 'self_supervised'\?"):
            write_dags(everything.path)
    assert not (everything.path / "dags").exists()
