"""Shared parts of hooks: the configuration, and the clock of nodes."""

from __future__ import annotations

import time

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from contrastive_har.refining import plain


class ContextHooks:
    """Hooks that read the configuration."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Store the context, which has the configuration."""
        self.context = context

    def is_worker(self) -> bool:
        """Whether torchrun has started this process as a worker of the first one."""
        from contrastive_har.learning.compute import ComputeSettings

        return ComputeSettings.model_validate(plain(self.context.params["compute"])).is_worker


class NodeClock:
    """Measures the seconds of each node, saving included: streams are consumed while they are saved."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Forget the nodes of earlier runs in this process."""
        self._started.clear()
        self._seconds.clear()

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        """Start a node's clock."""
        self._started[node.name] = time.perf_counter()

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, node: Node) -> None:
        """Read a node's clock after each output; the last reading counts."""
        self._seconds[node.name] = time.perf_counter() - self._started.get(node.name, time.perf_counter())

    def elapsed(self) -> float:
        """Return the seconds since the first node started; 0 if none has."""
        now = time.perf_counter()
        return now - min(self._started.values(), default=now)

    def seconds(self, node: Node) -> float:
        """Return the seconds from a node's start to its newest output; 0 if it has not run."""
        return self._seconds.get(node.name, 0.0)
