"""The runner of a session: nodes that take long in worker processes, all else one after another in this one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from kedro.runner.task import Task
from pluggy import PluginManager

from contrastive_har.refining import plain

if TYPE_CHECKING:
    from contrastive_har.learning.workers import Pending, Workers

_COMPUTE = "params:compute"
"""Nodes that have this input take long, and do as it says."""
_LONG = frozenset({"draw_embedding_map"})
"""Functions of other nodes that take long, during which this process could give out no work."""


class SideBySideRunner(SequentialRunner):
    """Runs the nodes that take long in worker processes, side by side: those that train, evaluate or embed.

    This process loads their inputs, stores their outputs and calls the hooks, so that a run is tracked, resumed and
    stored as if its nodes ran one after another. A node that is alone runs here, with its repeats in the workers. A
    node computes the same numbers wherever it runs, since its number of threads is the same.
    """

    def __str__(self) -> str:
        # Kedro-Viz keeps the states of nodes of runs with this runner only, whose hooks are called in one process.
        return f"{SequentialRunner.__module__}.SequentialRunner object, with nodes side by side"

    @property
    def _logger(self) -> logging.Logger:
        return logging.getLogger(SequentialRunner.__module__)  # messages about single nodes are Kedro's

    def _run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        workers = _workers(pipeline, catalog)
        if workers is None or hook_manager is None:
            super()._run(pipeline, catalog, hook_manager, run_id)
            return
        schedule = _Schedule(pipeline, workers, catalog, hook_manager, run_id)
        loads = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))
        done: list[Node] = []
        try:
            for node in schedule.run():
                done.append(node)
                self._logger.info("Completed %d out of %d tasks: %s", len(done), len(pipeline.nodes), node.name)
                self._release_datasets(node, catalog, loads, pipeline)
        except BaseException:
            schedule.stop()
            self._suggest_resume_scenario(pipeline, done, catalog)
            raise


def takes_long(node: Node) -> bool:
    """Return whether a node trains, evaluates or embeds."""
    return _COMPUTE in node.inputs or getattr(node.func, "__name__", "") in _LONG


def _workers(pipeline: Pipeline, catalog: DataCatalog) -> Workers | None:
    """Return the worker processes for the nodes of a pipeline; None if they run one after another."""
    if not any(_COMPUTE in node.inputs for node in pipeline.nodes):
        return None
    from contrastive_har.learning.compute import ComputeSettings  # takes long to import

    return ComputeSettings.model_validate(plain(catalog.load(_COMPUTE))).pool()


@dataclass(frozen=True)
class _Schedule:
    """The order in which the nodes of a pipeline run."""

    pipeline: Pipeline
    workers: Workers
    catalog: DataCatalog
    hooks: PluginManager
    run_id: str | None
    running: dict[Future[Any], _Started] = field(default_factory=dict)

    def stop(self) -> None:
        """End the nodes that run in workers."""
        self.workers.stop()
        for started in self.running.values():
            started.pending.mapped.delete()

    def run(self) -> Iterator[Node]:
        """Run all nodes, and yield each when its outputs are stored.

        Of those that could start, the ones that need most others come first: a row is evaluated as soon as it is
        pre-trained, so that a run that is ended early has whole rows, and the time left is told from both stages.
        """
        needed = self.pipeline.node_dependencies
        left, done = list(chain.from_iterable(reversed(self.pipeline.grouped_nodes))), set[Node]()
        running = self.running
        while left or running:
            ready = [node for node in left if needed[node] <= done]
            for_workers = list(filter(takes_long, ready))
            here = [node for node in ready if not takes_long(node)]
            if not running and len(ready) == 1:
                here, for_workers = ready, []
            for node in for_workers[: self.workers.count - len(running)]:
                left.remove(node)
                started = _Started(self, node, is_first=not running)
                running[started.pending.future] = started
            if here:
                left.remove(here[0])
                finished = [self._run_here(here[0])]
            else:
                finished = [running.pop(one).finish() for one in wait(running, return_when=FIRST_COMPLETED).done]
            done.update(finished)
            yield from finished

    def _run_here(self, node: Node) -> Node:
        from contrastive_har.learning.workers import limited_to

        with limited_to(self.workers.threads) if takes_long(node) else nullcontext():
            return Task(node, self.catalog, False, self.hooks, self.run_id).execute()


class _Started:
    """A node that runs in a worker, with its inputs loaded; hooks are called as by :class:`kedro.runner.task.Task`."""

    def __init__(self, schedule: _Schedule, node: Node, is_first: bool) -> None:
        self.node, self.hook = node, schedule.hooks.hook
        self._catalog = schedule.catalog
        inputs = {name: self._load(name) for name in node.inputs}
        self._facts: dict[str, Any] = {"node": node, "catalog": schedule.catalog, "inputs": inputs, "is_async": False}
        self._facts["run_id"] = schedule.run_id
        for changed in self.hook.before_node_run(**self._facts):
            inputs |= changed or {}
        self.pending: Pending[dict[str, Any]] = schedule.workers.submit(partial(node.run, inputs), quiet=not is_first)

    def finish(self) -> Node:
        """Store the outputs."""
        try:
            outputs = self.pending.result()
        except Exception as error:
            self.hook.on_node_error(error=error, **self._facts)
            raise
        self.hook.after_node_run(outputs=outputs, **self._facts)
        for name, data in outputs.items():
            self.hook.before_dataset_saved(dataset_name=name, data=data, node=self.node)
            self._catalog.save(name, data)
            self.hook.after_dataset_saved(dataset_name=name, data=data, node=self.node)
        return self.node

    def _load(self, name: str) -> Any:
        self.hook.before_dataset_loaded(dataset_name=name, node=self.node)
        data = self._catalog.load(name)
        self.hook.after_dataset_loaded(dataset_name=name, data=data, node=self.node)
        return data
