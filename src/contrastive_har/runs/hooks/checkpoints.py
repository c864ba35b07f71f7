"""Deletion of checkpoints of finished trainings."""

from __future__ import annotations

import contextlib
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog

from contrastive_har.runs.hooks.context import ContextHooks


class CheckpointHooks(ContextHooks):
    """Deletes the checkpoints of a training when its encoders are stored."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Store the catalog, which has the folder."""
        self._catalog = catalog

    @hook_impl(trylast=True)  # after the manifest has recorded them
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Delete the checkpoints of a finished training, and of no other.

        Not their folder with all that is in it: another run may be saving a checkpoint of the same training.
        """
        if not dataset_name.endswith("encoders") or self.is_worker():
            return
        from contrastive_har.learning.pretraining import checkpoints_of

        folder = self._catalog.load(f"{dataset_name.partition('.')[0]}.checkpoints")
        finished = checkpoints_of(folder, data.fingerprint)
        for path in finished.glob("*.safetensors"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # missing, or not empty
            finished.rmdir()
