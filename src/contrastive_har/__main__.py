"""Runs the project as ``python -m contrastive_har`` or through its packaged command, like ``kedro run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*arguments: Any, **options: Any) -> Any:
    """Run a pipeline; takes the arguments of ``kedro run``."""
    package = Path(__file__).parent.name
    configure_project(package)
    options["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command(package)(*arguments, **options)


if __name__ == "__main__":
    main()
