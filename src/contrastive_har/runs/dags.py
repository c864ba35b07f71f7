"""Writes DAGs for Airflow: ``python -m contrastive_har.runs.dags``, or ``make dags``.

A task is a Kedro run of its own, in this environment; Airflow's needs neither Kedro nor torch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import jinja2
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel, ConfigDict, Field

from contrastive_har.files.atomic import write_atomically
from contrastive_har.runs.settings import load_configuration
from contrastive_har.sources import source_names

_TOGETHER = ("reporting",)  # stages whose nodes hand each other what is not stored


class ScheduleSettings(BaseModel):
    """How Airflow runs pipelines (``airflow.yml``).

    Attributes:
        schedule: A cron expression or preset; null runs when triggered only.
        start_date: Before it nothing is due.
        retries: Of a failed task.
        retry_delay_minutes: Between them.
        max_active_tasks: Tasks of a run that work side by side.
        pipelines: For which there are DAGs. Append: the index is part of their runs' ids.
        folder: Where these are written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: str | None = "@weekly"
    start_date: date
    retries: int = Field(default=2, ge=0)
    retry_delay_minutes: float = Field(default=5, ge=0)
    max_active_tasks: int = Field(default=2, gt=0)
    pipelines: tuple[str, ...] = Field(min_length=1)
    folder: str = "dags"


@dataclass(frozen=True)
class Task:
    """Nodes that run as one task.

    Attributes:
        name: Unlike any other.
        group: What Airflow folds: the split of a protocol.
        nodes: By name.
    """

    name: str
    group: str
    nodes: list[str]


def divide(pipeline: Pipeline) -> tuple[list[Task], list[tuple[str, str]]]:
    """Divide a pipeline into tasks: a stage of a protocol, or of one method where there is one.

    Returns:
        The tasks, and which follows which.
    """
    tasks: dict[str, list[Node]] = {}
    for node in pipeline.nodes:
        tasks.setdefault(_name(node), []).append(node)
    produced = {output: name for name, nodes in tasks.items() for node in nodes for output in node.outputs}
    edges = {
        (produced[needed], name)
        for name, nodes in tasks.items()
        for node in nodes
        for needed in node.inputs
        if produced.get(needed, name) != name
    }
    made = [Task(name, _group(name), sorted(node.name for node in nodes)) for name, nodes in tasks.items()]
    return made, sorted(edges)


def _name(node: Node) -> str:
    (stage,) = node.tags
    parts = (node.namespace or "").split(".")
    return ".".join(part for part in (parts[0] if stage in _TOGETHER else node.namespace, stage) if part)


def _group(task: str) -> str:
    parts = task.split(".")
    return "-".join(parts[:2]) if len(parts) == 4 else ""


def write_dags(project: Path) -> list[Path]:
    """Write a DAG for every pipeline that is to have one; return the files."""
    loader = load_configuration(project)
    schedule = ScheduleSettings.model_validate(dict(loader["airflow"]))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("contrastive_har.runs"),
        autoescape=False,  # noqa: S701 - writes Python; every text goes through tojson or is ours
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    folder = project / schedule.folder
    folder.mkdir(exist_ok=True)
    written = []
    for index, name in enumerate(schedule.pipelines):
        tasks, edges = divide(pipelines[name])
        dag = f"contrastive_har_{name}"
        text = environment.get_template("dag.py.j2").render(
            **schedule.model_dump(exclude={"schedule"}),
            schedule=repr(schedule.schedule),
            description=f"The pipeline {name} of contrastive-har.",
            pipeline=name,
            index=index,
            dag_id=dag,
            kedro=Path(sys.executable).with_name("kedro"),
            project=str(project),
            dataset=loader["parameters"]["dataset"],
            datasets=source_names(),
            tasks=tasks,
            edges=edges,
        )
        with write_atomically(folder / f"{dag}.py") as staged:
            staged.write_text(text, encoding="utf-8")
        written.append(folder / f"{dag}.py")
    return written


def main() -> None:
    """Write all DAGs of the project one stands in."""
    project = Path.cwd()
    bootstrap_project(project)
    for path in write_dags(project):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
