"""Parts of a run, which several processes may run: ``python -m contrastive_har.runs.parts --ended=RUN_ID``.

The command tells that the processes of a run have ended, where that cannot be found out: they ran on a machine or in a
container that is gone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.places import open_here
from contrastive_har.runs.processes import describe_process, is_dead, is_here, this_process

FAILED = "failed"
"""Stands for the process of a part that has failed."""

_IDENTIFYING = (
    *("pipeline_names", "namespaces", "tags", "node_names"),
    *("from_nodes", "to_nodes", "from_inputs", "to_outputs"),
)  # arguments of a run


def part_of(run_params: Mapping[str, Any]) -> str:
    """Return the name of the part of a run that the arguments of a Kedro run describe."""
    return json.dumps({key: sorted(run_params[key]) for key in _IDENTIFYING if run_params.get(key)})


def begin_part(manifest: Manifest, part: str, nodes: Iterable[str]) -> Manifest:
    """Return the manifest with a part that this process runs.

    Raises:
        ValueError: if another process is running the same part, or one with some of the same ``nodes``.
    """
    mine = set(nodes)
    running = {process: theirs for process, theirs in manifest.running.items() if not is_dead(process)}
    known = [manifest.parts.get(part, FAILED), *(one for one, theirs in running.items() if mine & set(theirs))]
    for process in known:
        if process not in (FAILED, this_process()) and not is_dead(process):
            raise ValueError(
                f"This part of run {manifest.run_id}, or some of it, is being run by {describe_process(process)}. "
                "Wait for its end. If it has ended with its machine or container, run: "
                f"python -m contrastive_har.runs.parts --ended={manifest.run_id}"
            )
    begun = {"parts": {**manifest.parts, part: this_process()}, "running": {**running, this_process(): sorted(mine)}}
    return manifest.model_copy(update=begun)


def end_part(manifest: Manifest, part: str, *, succeeded: bool) -> Manifest:
    """Return the manifest after the end of a part."""
    others = {name: process for name, process in manifest.parts.items() if name != part}
    running = {process: theirs for process, theirs in manifest.running.items() if process != this_process()}
    left = {"parts": others if succeeded else {**others, part: FAILED}, "running": running}
    return manifest.model_copy(update=left)


def working(manifest: Manifest) -> list[str]:
    """Return the processes that are running parts of a run."""
    return [process for process in manifest.parts.values() if process != FAILED and not is_dead(process)]


def _without_unknown(manifest: Manifest) -> Manifest:
    """Return the manifest with all parts failed but those of processes that this process can see."""
    parts = {
        part: process if is_here(process) and not is_dead(process) else FAILED
        for part, process in manifest.parts.items()
    }
    running = {process: nodes for process, nodes in manifest.running.items() if process in parts.values()}
    return manifest.model_copy(update={"parts": parts, "running": running})


def main() -> None:
    """Mark parts of a run as failed, and its tracked run as killed."""
    from contrastive_har.runs.settings import load_configuration
    from contrastive_har.runs.tracking_server import TrackingSettings, connect, mark_killed, usable

    parser = argparse.ArgumentParser(prog="python -m contrastive_har.runs.parts", description=__doc__)
    parser.add_argument("--ended", required=True, metavar="RUN_ID", help="the run whose processes have ended")
    run_id = parser.parse_args().ended
    project = open_here()
    manifests = Manifests.of(project)
    if manifests.find(run_id) is None:
        sys.exit(f"There is no run {run_id} in {manifests.folder}.")
    manifest = manifests.update(run_id, _without_unknown)
    if left := working(manifest):
        sys.exit(f"Still running: {', '.join(describe_process(process) for process in left)}.")
    if manifest.tracked_run:
        settings = TrackingSettings.of(load_configuration(project), project)
        with usable(settings):
            connect(settings)
            mark_killed(manifest.tracked_run)


if __name__ == "__main__":
    main()
