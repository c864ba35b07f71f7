"""Removal of checkpoints once they have led to encoders."""

from __future__ import annotations

import shutil
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from contrastive_har.runs.hooks.context import ContextHooks


class CheckpointHooks(ContextHooks):
    """Deletes the checkpoints that led to encoders when these are stored."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Keep the catalog: it holds the folders."""
        self._catalog = catalog

    @hook_impl(trylast=True)  # when the manifest says that they are stored
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Delete a finished training's checkpoints; other trainings may still need theirs."""
        if not dataset_name.endswith(".encoders") or self.is_worker():
            return
        from contrastive_har.learning.pretraining import checkpoints_of

        folder = self._catalog.load(f"{dataset_name.removesuffix('encoders')}checkpoints")
        shutil.rmtree(checkpoints_of(folder, data.fingerprint), ignore_errors=True)
