"""The process of a tracked run, so that runs of ended processes are not shown as running."""

from __future__ import annotations

import logging
import os
import platform
from pathlib import Path

PROCESS = "contrastive_har.process"
"""Tag of a tracked run: the machine, the process and when that process was started."""


def this_process() -> str:
    """Return a unique name of this process."""
    return f"{platform.node()} {os.getpid()} {_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Return whether a process of this machine has ended; False for processes of other machines."""
    machine, number, started = process.split(" ")
    return machine == platform.node() and _started(int(number)) != started


def end_stale_runs(experiment: str) -> None:
    """Mark tracked runs as killed if their process has ended without ending the run."""
    import mlflow

    client = mlflow.MlflowClient()
    found = mlflow.search_runs(
        experiment_names=[experiment], filter_string="attributes.status = 'RUNNING'", output_format="list"
    )
    dead = {run.info.run_id for run in found if PROCESS in run.data.tags and is_dead(run.data.tags[PROCESS])}
    for run in found:
        if run.info.run_id in dead or run.data.tags.get("mlflow.parentRunId") in dead:
            client.set_terminated(run.info.run_id, "KILLED")
            logging.getLogger(__name__).warning("The run '%s' was killed; it is now marked so.", run.info.run_name)


def _started(number: int) -> str:
    """Return when a process was started, in ticks of the kernel; ``ended`` if there is no such process."""
    try:
        # The name of the program, in brackets, may hold spaces; the 20th field after it is the start.
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return "unknown" if _exists(number) else "ended"


def _exists(number: int) -> bool:
    """Return whether there is a process of this number, on systems without /proc."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
