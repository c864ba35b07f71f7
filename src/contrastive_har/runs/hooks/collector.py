"""Python's garbage collector, which rests until the first node."""

from __future__ import annotations

import gc

from kedro.framework.hooks import hook_impl


class CollectorHooks:
    """Starts the collector, which the session has stopped, when the first node runs."""

    @hook_impl
    def before_node_run(self) -> None:
        """Start it."""
        gc.enable()
