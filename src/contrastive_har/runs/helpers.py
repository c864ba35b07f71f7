"""Processes that help another one train, and what training leaves behind."""

from __future__ import annotations

import logging
import shutil
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from contrastive_har.runs.settings import plain


class ContextHooks:
    """Hooks that look at the configuration."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context: it holds the configuration."""
        self.context = context

    def is_helper(self) -> bool:
        """Whether this process only helps another one train."""
        from contrastive_har.learning.compute import ComputeSettings

        return ComputeSettings.model_validate(plain(self.context.params["compute"])).is_helper


class HelperHooks(ContextHooks):
    """Where torchrun has started this process to help another one train, it must not write a second result."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Keep what a helper computes in its memory.

        Raises:
            RuntimeError: if the pipeline makes recordings or windows, which are streams until somebody stores them; or
                if it should skip what is finished: having stored nothing, a helper cannot tell what that is.
        """
        if not self.is_helper():
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
        logging.getLogger(__name__).info("This process helps the first one train and stores nothing.")
        for name in outputs:
            catalog[name] = MemoryDataset(copy_mode="assign")


class CheckpointHooks(ContextHooks):
    """Deletes the checkpoints that led to encoders when these are stored."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Keep the catalog: it knows the folders."""
        self._catalog = catalog

    @hook_impl(trylast=True)  # when the manifest says that they are stored
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Delete a finished training's checkpoints; those of other trainings may be needed yet."""
        if not dataset_name.endswith(".encoders") or self.is_helper():
            return
        from contrastive_har.learning.pretraining import checkpoints_of

        folder = self._catalog.load(f"{dataset_name.removesuffix('encoders')}checkpoints")
        shutil.rmtree(checkpoints_of(folder, data.fingerprint), ignore_errors=True)
