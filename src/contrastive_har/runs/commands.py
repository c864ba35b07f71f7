"""Commands that compute a data set, for messages that say what to run."""

from __future__ import annotations

from kedro.framework.project import pipelines
from kedro.pipeline.node import Node

from contrastive_har.runs.places import run_command

_DEFAULT = "__default__"


def making(name: str) -> str:
    """Return the command that runs the stage that computes a data set."""
    pipeline, node = _find(name)
    if node is None:
        return run_command()
    (stage,) = node.tags
    chosen = f"--pipeline={stage}" if pipeline == _DEFAULT else f"--pipeline={pipeline} --tags={stage}"
    return f"{run_command()} {chosen}"


def resuming(name: str) -> str:
    """Return the command that computes a data set, and first whatever it needs that is missing or out of date."""
    pipeline, _ = _find(name)
    return f"{run_command()}{'' if pipeline == _DEFAULT else f' --pipeline={pipeline}'} --params=resume=true"


def _find(name: str) -> tuple[str, Node | None]:
    """Return the first pipeline with a node that computes a data set, and this node."""
    for pipeline in pipelines:
        for node in pipelines[pipeline].nodes:
            if name in node.outputs:
                return pipeline, node
    return _DEFAULT, None
