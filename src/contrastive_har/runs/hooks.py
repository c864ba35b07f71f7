"""What makes a Kedro run one run: the versions it reads and writes, its manifest, its end when it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.runs.logs import RunLog

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest, Manifests

MANIFEST = "run_manifest"


class RunHooks:
    """Pins versions, keeps the manifest and the log."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._unsaved: dict[str, set[str]] = {}
        self._log: RunLog | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context: it holds the configuration."""
        self._context = context
        loader = context.config_loader
        loader["parameters"] = loader["parameters"]  # else it reads the files again whenever somebody asks

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Decide which versions belong to this run, and note what it is.

        Raises:
            ValueError: if another run of this id had other parameters.
        """
        from contrastive_har.learning.compute import ComputeSettings
        from contrastive_har.runs.lineage import fingerprint_nodes
        from contrastive_har.runs.settings import plain

        _end_on_sigterm()
        self._fingerprints: dict[str, tuple[str, dict[str, str]]] = {}
        if ComputeSettings.model_validate(plain(catalog.load("params:compute"))).is_helper:
            return
        self._catalog = catalog
        self._run_id = run_params["run_id"]
        self._manifests = manifests_of(catalog)
        self._log = RunLog(self._manifests.folder.parent, self._run_id)
        logging.getLogger().addHandler(self._log)
        parameters = self._context.config_loader["parameters"]
        manifest = self._manifests.update(self._run_id, lambda known: _begun(known, run_params, parameters))
        versions = _pin_versions(pipeline, catalog, manifest)
        self._manifests.update(self._run_id, lambda known: _with_versions(known, versions))
        self._fingerprints = {
            node.name: (own, outputs) for node, own, outputs in fingerprint_nodes(pipeline, catalog, self._manifests)
        }

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Close the log."""
        self._close_log()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Note what went wrong, and close the log."""
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
        """Start a node's clock."""
        self._started[node.name] = time.perf_counter()
        self._unsaved[node.name] = set(node.outputs)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Note a node as finished when all its outputs are stored."""
        from contrastive_har.catalog import AtomicDataset
        from contrastive_har.runs.manifest import NodeRecord

        if node.name not in self._fingerprints:
            return
        self._unsaved[node.name].discard(dataset_name)
        if self._unsaved[node.name]:
            return
        own, outputs = self._fingerprints[node.name]
        stored = [name for name in outputs if isinstance(self._catalog.get(name), AtomicDataset)]
        record = NodeRecord(
            fingerprint=own,
            outputs={name: outputs[name] for name in stored},
            seconds=time.perf_counter() - self._started[node.name],
        )
        self._manifests.update(
            self._run_id,
            lambda known: _with_versions(known, dict.fromkeys(stored, self._run_id)).model_copy(
                update={"nodes": {**(known.nodes if known else {}), node.name: record}}
            ),
        )


def manifests_of(catalog: DataCatalog) -> Manifests:
    """Return the manifests of the project a catalog belongs to."""
    from contrastive_har.catalog import AtomicDataset
    from contrastive_har.runs.manifest import Manifests

    entry = catalog.get(MANIFEST)
    if not isinstance(entry, AtomicDataset):
        raise TypeError(f"the catalog's entry '{MANIFEST}' must be an AtomicDataset")
    return Manifests(entry.folder)


def _begun(known: Manifest | None, run_params: dict[str, Any], given: dict[str, Any]) -> Manifest:
    """Return the manifest of a run that begins, or goes on with another task or try."""
    from contrastive_har.runs.manifest import Manifest, installed_packages
    from contrastive_har.signals.fingerprints import code_version

    parameters = {name: value for name, value in given.items() if name not in _OF_SESSIONS}
    what = ", ".join(run_params.get("pipeline_names") or ["__default__"])
    if known is None:
        return Manifest(
            run_id=run_params["run_id"],
            code=code_version(),
            packages=installed_packages(),
            parameters=parameters,
            pipelines=[what],
        )
    if changed := sorted(_differences(known.parameters, parameters)):
        raise ValueError(
            f"Run {known.run_id} had other parameters: {', '.join(changed)}. Give the --env and --params it was "
            "started with, or start a new run."
        )
    return known if what in known.pipelines else known.model_copy(update={"pipelines": [*known.pipelines, what]})


_OF_SESSIONS = ("run_id", "resume")  # parameters that say how to run, not what


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}")
    return found


def _with_versions(known: Manifest | None, versions: dict[str, str]) -> Manifest:
    if known is None:
        raise LookupError("the manifest of this run has been deleted while it ran")
    return known.model_copy(update={"versions": {**known.versions, **versions}})


def _pin_versions(pipeline: Pipeline, catalog: DataCatalog, manifest: Manifest) -> dict[str, str]:
    """Pin what the run reads: its own versions first, else what it has read before, else the newest before it.

    Returns:
        The versions of what is read and already there.
    """
    from contrastive_har.catalog import AtomicDataset

    read: dict[str, str] = {}
    outputs = pipeline.all_outputs()
    for name in sorted(pipeline.datasets()):
        entry = catalog.get(name) if not name.startswith("params:") else None
        if not isinstance(entry, AtomicDataset) or not entry.is_versioned or entry.is_pinned:
            continue
        if name in outputs:
            entry.pin(manifest.run_id)
            continue
        wanted = manifest.run_id if entry.has(manifest.run_id) else manifest.versions.get(name)
        if wanted is None:
            wanted = max((version for version in entry.versions() if version <= manifest.run_id), default=None)
        if wanted is not None:
            entry.pin(wanted)
            read[name] = wanted
    return read


def _end_on_sigterm() -> None:
    """Make SIGTERM end the run as Ctrl-C does: stages clean up, and the tracked run ends as failed."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
