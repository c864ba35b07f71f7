"""Deletion of checkpoints of finished trainings."""

from __future__ import annotations

import shutil
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from contrastive_har.runs.hooks.context import ContextHooks


class CheckpointHooks(ContextHooks):
    """Deletes the checkpoints of a training when its encoders are stored."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Store the catalog, which has the folders."""
        self._catalog = catalog

    @hook_impl(trylast=True)  # after the manifest has recorded them
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Delete the checkpoints of a finished training, and of no other."""
        if not dataset_name.endswith(".encoders") or self.is_worker():
            return
        from contrastive_har.learning.pretraining import checkpoints_of

        folder = self._catalog.load(f"{dataset_name.removesuffix('encoders')}checkpoints")
        shutil.rmtree(checkpoints_of(folder, data.fingerprint), ignore_errors=True)
