"""The versions that a run reads and writes, its manifest and log, and its end on SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Generator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.runs.hooks.context import ContextHooks, NodeClock
from contrastive_har.runs.logs import RunLog
from contrastive_har.runs.settings import OF_SESSIONS, differences

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest


class VersionHooks(ContextHooks):
    """Pins versions, and writes the manifest and the log."""

    def __init__(self, clock: NodeClock) -> None:
        self._clock = clock
        self._unsaved: dict[str, set[str]] = {}
        self._log: RunLog | None = None

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Pin the versions of this run, and start its manifest.

        Raises:
            ValueError: if an earlier part of this run had other parameters, if stored scores to report were computed
                with other settings, or if recordings of one data set would be stored as those of another.
        """
        from contrastive_har.runs.lineage import fingerprint_nodes
        from contrastive_har.runs.manifest import manifests_of
        from contrastive_har.runs.parts import begin_part, part_of
        from contrastive_har.runs.provenance import require_same_settings

        parameters = self.context.config_loader["parameters"]
        if parameters["ingestion"]["dataset"] != parameters["dataset"]:
            raise ValueError("ingestion.dataset follows dataset: use --params=dataset=NAME or conf/local/globals.yml.")
        _end_on_sigterm()
        self._fingerprints: dict[str, tuple[str, dict[str, str]]] = {}
        self._catalog = catalog
        self._run_id = run_params["run_id"]
        self._manifests = manifests_of(catalog)
        if self.is_worker():
            known = self._manifests.find(self._run_id)
            _pin_versions(pipeline, catalog, self._run_id, known.versions if known else {})
            return
        self._log = RunLog(self._manifests.folder.parent, self._run_id)
        logging.getLogger().addHandler(self._log)
        try:
            manifest = self._manifests.begin(
                self._run_id, lambda known: begin_part(_begun(known, run_params, parameters), part_of(run_params))
            )
            versions = _pin_versions(pipeline, catalog, self._run_id, manifest.versions)
            require_same_settings(versions, self._manifests, parameters)
        except Exception as error:
            self.on_pipeline_error(error)  # Kedro calls it for later errors only
            raise
        self._manifests.update(self._run_id, lambda known: known.with_versions(versions))
        fingerprints = fingerprint_nodes(pipeline, catalog, self._manifests)
        self._fingerprints = {node.name: (of_node, of_outputs) for node, of_node, of_outputs in fingerprints}

    @hook_impl(wrapper=True)
    def after_pipeline_run(self) -> Generator[None, Any, Any]:
        """Log errors of the other hooks, which Kedro does not report to :meth:`on_pipeline_error`; close the log."""
        try:
            result = yield
        except Exception as error:
            self.on_pipeline_error(error)
            raise
        self._close_log()
        return result

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Log the error, and close the log."""
        if self._log:
            self._log.note(error)
        self._close_log()

    def _close_log(self) -> None:
        if self._log:
            logging.getLogger().removeHandler(self._log)
            self._log.close()
            self._log = None

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Record the outputs that a node has not saved yet."""
        self._unsaved[node.name] = set(node.outputs)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Record a node as finished when all its outputs are stored."""
        from contrastive_har.catalog import AtomicDataset
        from contrastive_har.runs.manifest import NodeRecord

        if node.name not in self._fingerprints:
            return
        self._unsaved[node.name].discard(dataset_name)
        if self._unsaved[node.name]:
            return
        node_fingerprint, outputs = self._fingerprints[node.name]
        stored = [name for name in outputs if isinstance(self._catalog.get(name), AtomicDataset)]
        record = NodeRecord(
            fingerprint=node_fingerprint,
            outputs={name: outputs[name] for name in stored},
            seconds=self._clock.seconds(node),
        )
        self._manifests.update(
            self._run_id,
            lambda manifest: manifest.with_versions(dict.fromkeys(stored, self._run_id)).model_copy(
                update={"nodes": {**manifest.nodes, node.name: record}}
            ),
        )


def _begun(before: Manifest | None, run_params: dict[str, Any], configured_parameters: dict[str, Any]) -> Manifest:
    """Return the manifest of a run that starts, or that continues with another task or retry."""
    from contrastive_har.files.fingerprints import code_version
    from contrastive_har.runs.manifest import Manifest, installed_packages

    parameters = {name: value for name, value in configured_parameters.items() if name not in OF_SESSIONS}
    names = ", ".join(run_params["pipeline_names"])
    if before is None:
        return Manifest(
            run_id=run_params["run_id"],
            code=code_version(),
            packages=installed_packages(),
            parameters=parameters,
            pipelines=[names],
        )
    if changed := sorted(differences(before.parameters, parameters)):
        raise ValueError(
            f"Run {before.run_id} had other parameters: {', '.join(changed)}. Give the --env and --params it was "
            "started with, or start a new run."
        )
    return before if names in before.pipelines else before.model_copy(update={"pipelines": [*before.pipelines, names]})


def _pin_versions(pipeline: Pipeline, catalog: DataCatalog, run_id: str, earlier: Mapping[str, str]) -> dict[str, str]:
    """Pin the versions that a run reads: its own, else those it has read before, else the newest earlier ones.

    Args:
        pipeline: The pipeline to run.
        catalog: Catalog whose entries are pinned, except those that the user has pinned.
        run_id: Id of the run.
        earlier: Versions that the run has read and written before.

    Returns:
        The versions of the existing data sets that the run reads.
    """
    from contrastive_har.catalog import AtomicDataset

    read: dict[str, str] = {}
    outputs = pipeline.all_outputs()
    for name in sorted(pipeline.datasets()):
        entry = catalog.get(name) if not name.startswith("params:") else None
        if not isinstance(entry, AtomicDataset) or not entry.is_versioned:
            continue
        if not entry.is_pinned:
            if name in outputs:
                entry.pin(run_id)
                continue
            chosen = run_id if entry.has(run_id) else earlier.get(name)
            if chosen is None:
                chosen = max((version for version in entry.versions() if version <= run_id), default=None)
            if chosen is None:
                continue
            entry.pin(chosen)
        if name not in outputs and entry.version is not None:
            read[name] = entry.version
    return read


def _end_on_sigterm() -> None:
    """Make SIGTERM end the run as Ctrl-C does: stages clean up, and the tracked run ends as failed."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
