"""Hooks for the worker processes of a training that several processes share."""

from __future__ import annotations

import logging

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from contrastive_har.runs.hooks.context import ContextHooks
from contrastive_har.runs.places import run_command


class WorkerHooks(ContextHooks):
    """Keeps workers from storing results: only the first process started by torchrun stores them."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Keep the results of a worker in memory.

        Raises:
            RuntimeError: if the pipeline computes recordings or windows, which are streams until they are stored; or
                if it is resumed: a worker, which stores nothing, cannot find out which nodes are finished.
        """
        if not self.is_worker():
            return
        if self.context.params["resume"]:
            raise RuntimeError(
                "resume=true is for a single process. Start without it: interrupted pre-training continues from its "
                "last checkpoint in any case."
            )
        outputs = pipeline.all_outputs()
        if any(name == "recordings" or name.endswith(".windows") for name in outputs):
            raise RuntimeError(
                f"torchrun is for pre-training: run {run_command()} --pipelines=ingestion,windowing alone first, "
                "then launch --pipeline=pretraining."
            )
        logging.getLogger(__name__).info("This process is a worker of the first one and stores nothing.")
        for name in outputs:
            catalog[name] = MemoryDataset(copy_mode="assign")
