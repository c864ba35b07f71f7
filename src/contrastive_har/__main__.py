"""Runs the project as ``python -m contrastive_har`` or through its packaged command, like ``kedro run``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*arguments: Any, **options: Any) -> Any:
    """Run a pipeline with the arguments of ``kedro run``; as ``describe`` or ``label``, look at or label recordings."""
    if not arguments and sys.argv[1:2] == ["describe"]:
        return _describe(sys.argv[2:])
    if not arguments and sys.argv[1:2] == ["label"]:
        from contrastive_har.labelling.command import main as label

        return label(sys.argv[2:])
    package = Path(__file__).parent.name
    configure_project(package)
    options["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command(package)(*arguments, **options)


def _describe(arguments: list[str]) -> int:
    from contrastive_har.signals.recordings import BadRecordingError
    from contrastive_har.sources.own.describing import propose, write_proposal
    from contrastive_har.sources.own.settings import DESCRIPTION_FILE

    parser = argparse.ArgumentParser(
        prog="contrastive-har describe",
        description=f"Look at a folder of recordings, and write a {DESCRIPTION_FILE} for you to correct.",
    )
    parser.add_argument("folder", type=Path, help="the folder; nothing in it is changed but the file that is written")
    folder = parser.parse_args(arguments).folder
    try:
        text = propose(folder)
    except BadRecordingError as error:
        sys.exit(f"Error: {error}")
    sys.stdout.write(write_proposal(folder, text))
    return 0


if __name__ == "__main__":
    main()
