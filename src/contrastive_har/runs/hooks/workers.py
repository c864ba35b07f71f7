"""Hooks for the worker processes of a training that several processes share."""

from __future__ import annotations

import logging

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from contrastive_har.runs.hooks.context import ContextHooks


class WorkerHooks(ContextHooks):
    """Where torchrun has started this process as a worker of the first one, it must not store a second result."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Keep what a worker computes in its memory.

        Raises:
            RuntimeError: if the pipeline makes recordings or windows, which are streams until they are stored; or if
                it should skip what is finished: having stored nothing, a worker cannot tell what that is.
        """
        if not self.is_worker():
            return
        if self.context.params["resume"]:
            raise RuntimeError(
                "resume=true is for a single process. Start without it: broken-off pre-training goes on from its last "
                "checkpoint in any case."
            )
        outputs = pipeline.all_outputs()
        if any(name == "recordings" or name.endswith(".windows") for name in outputs):
            raise RuntimeError(
                "torchrun is for pre-training: run kedro run --pipelines=ingestion,windowing alone first, then launch "
                "--pipeline=pretraining."
            )
        logging.getLogger(__name__).info("This process shares the training of the first one and stores nothing.")
        for name in outputs:
            catalog[name] = MemoryDataset(copy_mode="assign")
