"""The progress of a run on the console: steps done of all, and the time that is left.

A step is the pre-training or the evaluation of a cell, the trials of its strategies, or one trial of its settings.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.runs.console import set_up
from contrastive_har.runs.runner import takes_long
from contrastive_har.scores.cells import Cell

_STAGES = ("pretraining", "evaluation", "labelling", "tuning")
_FIRST = 0.1  # share of the steps that are done before the time of the others is told
_Step = tuple[str, str]
"""A namespace or a node, and its stage."""


class ProgressHooks:
    """Says how many steps of a run are done, and about how long the others will take."""

    def __init__(self) -> None:
        self._nodes: dict[Node, _Step] = {}
        self._left: Counter[_Step] = Counter()  # nodes of each step that are still to run
        self._spent: dict[_Step, float] = defaultdict(float)
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._started: dict[str, float] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Find the steps and their nodes."""
        set_up()
        self._run_id, self._catalog = str(run_params["run_id"]), catalog
        self._seconds.clear()
        self._spent.clear()
        self._nodes = {node: step for node in pipeline.nodes if (step := _step_of(node))}
        self._left = Counter(self._nodes.values())
        self._all = len(self._left)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Note when a node starts; nodes that a resumed run skips do not."""
        self._started[node.name] = time.monotonic()
        if len(self._started) == 1:
            self._left = Counter(step for of_step, step in self._nodes.items() if not self._is_finished(of_step))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Log the progress when the last node of a step is done."""
        step = self._nodes.get(node)
        if step is None or step not in self._left:
            return
        self._spent[step] += time.monotonic() - self._started[node.name]
        self._left[step] -= 1
        if self._left[step]:
            return
        del self._left[step]
        self._seconds[step[1]].append(self._spent[step])
        done = self._all - len(self._left)
        logging.getLogger(__name__).info("%d of %d steps done%s.", done, self._all, self._time_left())

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Forget the nodes."""
        self._started.clear()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget the nodes."""
        self._started.clear()

    def _is_finished(self, node: Node) -> bool:
        """Return whether an earlier run has finished a node, whose results this run takes over."""
        from contrastive_har.catalog import AtomicDataset

        stored = (self._catalog.get(name) for name in node.outputs)
        return all(isinstance(one, AtomicDataset) and one.is_pinned and one.version != self._run_id for one in stored)

    def _time_left(self) -> str:
        """Return how long the other nodes take, if each takes as long as those of its stage have on average.

        And if as many run side by side as so far. Nothing is told after the first few of many steps.
        """
        if not self._left or len(self._left) > (1 - _FIRST) * self._all:
            return ""
        elapsed = time.monotonic() - min(self._started.values())
        at_once = max(1.0, sum(self._spent.values()) / elapsed)
        seconds = 0.0
        for _, stage in self._left:
            known = self._seconds[stage] or [one for of_stage in self._seconds.values() for one in of_stage]
            seconds += sum(known) / len(known) / at_once
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"


def _step_of(node: Node) -> _Step | None:
    """Return the step that a node is part of; None if it is part of none."""
    stage = next((stage for stage in _STAGES if stage in node.tags), None)
    if stage is None or Cell.parse(node.namespace) is None:
        return None
    if stage != "tuning":
        return str(node.namespace), stage
    return (node.name, stage) if takes_long(node) else None
