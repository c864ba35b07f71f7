"""Writes DAGs for Airflow: ``python -m contrastive_har.runs.dags``, or ``make dags``.

Each task is a separate Kedro run in this environment; the environment of Airflow needs neither Kedro nor torch.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import Field, field_validator

from contrastive_har.files.atomic import write_atomically
from contrastive_har.refining import for_dataset, is_protocol, suggest
from contrastive_har.runs.places import open_here
from contrastive_har.runs.session import MAIN
from contrastive_har.runs.settings import load_configuration, settings_of
from contrastive_har.sources import source_names
from contrastive_har.strict import StrictModel

_PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON = re.compile(r"[\dA-Za-z*,/#?-]+( +[\dA-Za-z*,/#?-]+){4}")
_FILLED_IN = re.compile(r"\{[{%#]")  # Airflow takes these marks of Jinja for its own
_MARK = "Written by 'make dags'"
_TOGETHER = ("reporting",)  # stages that are one task, because their nodes exchange data that are not stored


class ScheduleSettings(StrictModel):
    """Settings of Airflow (``airflow.yml``).

    Attributes:
        schedule: A cron expression or preset; null runs only when triggered.
        start_date: Date before which no run is due.
        retries: Retries of a failed task.
        retry_delay_minutes: Minutes between two retries.
        max_active_tasks: Tasks of a run that run in parallel.
        pipelines: Pipelines with a DAG. Append new ones: the index is part of the ids of their runs.
        folder: Folder of the DAGs, in the project.
    """

    schedule: str | None = "@weekly"
    start_date: date
    retries: int = Field(default=2, ge=0)
    retry_delay_minutes: float = Field(default=5, ge=0)
    max_active_tasks: int = Field(default=2, gt=0)
    pipelines: tuple[str, ...] = Field(min_length=1)
    folder: str = "dags"

    @field_validator("schedule")
    @classmethod
    def _is_a_schedule(cls, schedule: str | None) -> str | None:
        if schedule is None or schedule in _PRESETS or _CRON.fullmatch(schedule):
            return schedule
        raise ValueError(f"'{schedule}' is no cron expression of five fields, nor one of {', '.join(_PRESETS)}")


@dataclass(frozen=True)
class Task:
    """Nodes that run as one task.

    Attributes:
        name: Unique name.
        group: Task group: the split of a protocol.
        nodes: Names of the nodes.
    """

    name: str
    group: str
    nodes: list[str]


def divide(pipeline: Pipeline) -> tuple[list[Task], list[tuple[str, str]]]:
    """Divide a pipeline into tasks: a stage of a protocol, or of one of its methods.

    Returns:
        The tasks, and pairs of a task and one that depends on it.
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
    divided = [Task(name, _group(name), sorted(node.name for node in nodes)) for name, nodes in tasks.items()]
    return divided, sorted(edges)


def _name(node: Node) -> str:
    (stage,) = node.tags
    parts = (node.namespace or "").split(".")
    return ".".join(part for part in (parts[0] if stage in _TOGETHER else node.namespace, stage) if part)


def _group(task: str) -> str:
    parts = task.split(".")
    return "-".join(parts[:2]) if len(parts) == 4 else ""


def write_dags(project: Path) -> list[Path]:
    """Write a DAG for every configured pipeline, and delete those of others; return the files.

    Raises:
        ValueError: if there is no such pipeline, or Airflow could not run it.
    """
    loader = load_configuration(project)
    schedule = settings_of(ScheduleSettings, loader, "airflow")
    for name in schedule.pipelines:
        if name not in pipelines:
            raise ValueError(f"airflow.yml: there is no pipeline '{name}'. {suggest(name, pipelines)}")
    for place in (project, Path(sys.executable)):
        if _FILLED_IN.search(str(place)):
            raise ValueError(f"{place}: Airflow would fill in what stands in braces. Rename the folder.")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("contrastive_har.runs"),
        autoescape=False,  # noqa: S701 - writes Python; every text is escaped by tojson or a constant
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    folder = project / schedule.folder
    if any(parent.exists() and not parent.is_dir() for parent in (folder, *folder.parents)):
        raise ValueError(f"airflow.yml: folder '{schedule.folder}' is a file or in one. Name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
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
            kedro=shlex.quote(str(Path(sys.executable).with_name("kedro"))),
            project=str(project),
            dataset=loader["parameters"]["dataset"],
            datasets=_datasets_of(name, loader["parameters"]),
            tasks=tasks,
            edges=edges,
        )
        with write_atomically(folder / f"{dag}.py") as staged:
            staged.write_text(text, encoding="utf-8")
        written.append(folder / f"{dag}.py")
    for path in {*folder.glob("contrastive_har_*.py")} - {*written}:
        if _MARK in path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]:
            path.unlink()  # would be scheduled on
    return written


def _datasets_of(pipeline: str, parameters: Mapping[str, Any]) -> list[str]:
    """Return the data sets for which a pipeline has the tasks that it has for the configured one."""
    protocols = {name: value for name, value in parameters.items() if is_protocol(value)}
    own = [value for name, value in protocols.items() if pipeline in (name, value.get("part_of"))]

    def parts(dataset: str) -> list[tuple[list[str], list[str]]]:
        chosen = (for_dataset(protocol, dataset) for protocol in own or [protocols[MAIN]])
        return [(sorted(one["splits"]), sorted(one["methods"])) for one in chosen]

    configured = parts(str(parameters["dataset"]))
    return [name for name in source_names() if parts(name) == configured]


def main() -> None:
    """Write all DAGs of the project in the working directory."""
    project = open_here()
    for path in write_dags(project):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
