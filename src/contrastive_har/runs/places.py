"""Where a command runs: in a checkout of the project, or anywhere with the installed package."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

_PACKAGE = Path(__file__).parents[1].name


def open_here() -> Path:
    """Return the project that contains the working directory, ready for use; outside one, the working directory."""
    project = find_kedro_project(Path.cwd())
    if project is None:
        configure_project(_PACKAGE)
        return Path.cwd()
    bootstrap_project(project)
    return Path(project)


def run_command() -> str:
    """Return the command that runs pipelines here: Kedro's own knows no project outside a checkout."""
    return "kedro run" if find_kedro_project(Path.cwd()) else f"python -m {_PACKAGE}"
