"""The versions that a run reads and writes, its manifest and log, and its end on SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Generator
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
    from contrastive_har.runs.manifest import Manifest, NodeRecord


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
            ValueError: if an earlier part of this run had other parameters, if stored data sets to read are missing or
                do not belong together, or if recordings of one data set would be stored as those of another.
        """
        from contrastive_har.runs.lineage import Origins
        from contrastive_har.runs.manifest import manifests_of
        from contrastive_har.runs.parts import begin_part, part_of
        from contrastive_har.runs.pinning import pin_versions

        parameters = self.context.config_loader["parameters"]
        if parameters["ingestion"]["dataset"] != parameters["dataset"]:
            raise ValueError("ingestion.dataset follows dataset: use --params=dataset=NAME or conf/local/globals.yml.")
        _end_on_sigterm()
        self._records: dict[str, NodeRecord] = {}
        self._catalog = catalog
        self._run_id = run_params["run_id"]
        self._manifests = manifests_of(catalog)
        self._origins = origins = Origins(self._manifests)
        if self.is_worker():
            known = self._manifests.find(self._run_id)
            pin_versions(pipeline, catalog, origins, self._run_id, known.versions if known else {})
            return
        command: str = catalog.load("params:run").command
        self._log = RunLog(self._manifests.folder.parent, self._run_id)
        logging.getLogger().addHandler(self._log)
        part, nodes = part_of(run_params), [node.name for node in pipeline.nodes]
        try:
            manifest = self._manifests.begin(
                self._run_id,
                lambda known: begin_part(_begun(known, run_params, parameters, command), part, nodes),
            )
            versions, self._records = pin_versions(pipeline, catalog, origins, self._run_id, manifest.versions)
        except Exception as error:
            self.on_pipeline_error(error)  # Kedro calls it for later errors only
            raise
        self._manifests.update(self._run_id, lambda known: known.with_versions(versions).without(self._records))

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
        from contrastive_har.catalog import AtomicDataset, FolderDataset

        if node.name not in self._records:
            return
        self._unsaved[node.name].discard(dataset_name)
        if self._unsaved[node.name]:
            return
        record = self._records[node.name]
        entries = {name: self._catalog.get(name) for name in record.outputs}
        checksums = {
            name: entry.checksum(self._run_id) for name, entry in entries.items() if isinstance(entry, AtomicDataset)
        }
        stored = {name: record.outputs[name] for name in checksums}
        for name in node.inputs if stored else ():  # a proposed dataset.yml is put into the folder that was read
            if isinstance(folder := self._catalog.get(name), FolderDataset):
                self._origins.require_unchanged(folder.load())
        finished = record.model_copy(
            update={"outputs": stored, "checksums": checksums, "seconds": self._clock.seconds(node)}
        )
        self._manifests.update(
            self._run_id,
            lambda manifest: manifest.with_versions(dict.fromkeys(stored, self._run_id)).with_node(node.name, finished),
        )


def _begun(
    before: Manifest | None, run_params: dict[str, Any], configured_parameters: dict[str, Any], command: str
) -> Manifest:
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
            commands=[command],
        )
    if changed := sorted(differences(before.parameters, parameters)):
        raise ValueError(
            f"Run {before.run_id} had other parameters: {', '.join(changed)}. Give the --env and --params it was "
            "started with, or start a new run."
        )
    ran = {"pipelines": [*before.pipelines, names], "commands": [*before.commands, command]}
    return before.model_copy(update={kind: list(dict.fromkeys(those)) for kind, those in ran.items()})


def _end_on_sigterm() -> None:
    """Make SIGTERM end the run as Ctrl-C does: stages clean up, and the tracked run ends as failed."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
