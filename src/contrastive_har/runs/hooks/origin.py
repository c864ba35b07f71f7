"""What identifies a run, as a parameter of the nodes that report it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.runs.hooks.context import ContextHooks

COMPARED = "params:compared_runs"
_RUN = "params:run"


class OriginHooks(ContextHooks):
    """Adds the facts of the run to the catalog."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Add the facts, and the runs to compare where they are compared.

        Raises:
            ValueError: if a run to compare is not known.
        """
        from contrastive_har.runs.origin import describe_run

        if COMPARED in pipeline.inputs():
            from contrastive_har.runs.comparing import read_runs

            names = str(self.context.params["runs"] or "").split("+")
            catalog[COMPARED] = MemoryDataset(read_runs(self.context.project_path, names), copy_mode="assign")
        catalog[_RUN] = MemoryDataset(describe_run(run_params, catalog), copy_mode="assign")

    @hook_impl
    def before_node_run(self, node: Node, catalog: DataCatalog, inputs: dict[str, Any]) -> dict[str, Any]:
        """Add to the facts which runs have computed the scores, once their versions are known."""
        from contrastive_har.runs.origin import scoring_runs

        if _RUN not in inputs:
            return {}
        return {_RUN: replace(inputs[_RUN], scored=scoring_runs(inputs[_RUN].run_id, node.namespace or "", catalog))}
