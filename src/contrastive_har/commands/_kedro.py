"""Runs pipelines as ``kedro run`` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


def run_kedro(*arguments: str, **options: Any) -> Any:
    """Run a pipeline with the arguments of ``kedro run``."""
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    package = Path(__file__).parents[1].name
    configure_project(package)
    options.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    return find_run_command(package)(*([list(arguments)] if arguments else []), **options)


def run_pipeline(pipeline: str, parameters: Mapping[str, Any], *further: str) -> Any:
    """Run a pipeline by name; parameters that are None keep their configured values.

    Raises:
        click.UsageError: if a path has a comma, at which Kedro divides parameters.
    """
    given = ",".join(f"{name}={_text(value)}" for name, value in parameters.items() if value is not None)
    return run_kedro(f"--pipelines={pipeline}", *([f"--params={given}"] if given else []), *further)


def _text(value: Any) -> Any:
    """Return a value as Kedro is given it, which reads it as YAML: a path in quotes, so that it stays as it is."""
    if not isinstance(value, Path):
        return value
    if "," in str(value):
        raise click.UsageError(f"'{value}' has a comma, which Kedro does not take in a parameter. Rename it.")
    return json.dumps(str(value), ensure_ascii=False)


def project_folder() -> Path:
    """Return the project that contains the working directory, ready for use.

    Raises:
        SystemExit: if there is none.
    """
    from kedro.utils import find_kedro_project

    from contrastive_har.runs.places import open_here

    if find_kedro_project(Path.cwd()) is None:
        raise SystemExit("Error: there is no project here. Change into the folder that has conf/ and pyproject.toml.")
    return open_here()
