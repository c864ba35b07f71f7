"""Lineage: fingerprints of all that the results of nodes depend on, directly and through their inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.catalog import AtomicDataset, FolderDataset
from contrastive_har.files.fingerprints import (
    TEXTS,
    code_version,
    data_files,
    fingerprint,
    fingerprint_folder,
    raw_hash_of,
)
from contrastive_har.files.hashes import FileHashes, State, state_of
from contrastive_har.protocols import PLANS
from contrastive_har.refining import plain
from contrastive_har.runs.manifest import Manifest, Manifests, NodeRecord
from contrastive_har.runs.provenance import Origin, Provenance, ProvenanceError
from contrastive_har.scores.cells import Cell

_NOT_INPUTS = (".checkpoints", ".method_check", "params:engine", "params:run")  # inputs that change no result
_SHOWS_TEXTS = "reporting"  # tag of the nodes whose results texts change
_WITHOUT_EFFECT = (*TEXTS, "checkpoint_every")  # settings that change no number
_FILE_HASHES = ".file_hashes.json"
_PLAN = f"params:{PLANS}."


class Origins:
    """The origins of stored data sets, from the manifests of the runs that made them.

    Args:
        manifests: All manifests; each is read once.
    """

    def __init__(self, manifests: Manifests) -> None:
        self.manifests = manifests
        self._known: dict[str, dict[str, Origin]] = {}
        self._states: dict[Path, dict[Path, State]] = {}

    def find(self, name: str, version: str) -> Origin | None:
        """Return the origin of a version of a data set.

        None if its run has not recorded it: it was broken off in between, or repeats the node just now.
        """
        if version not in self._known:
            manifest = self.manifests.find(version)
            self._known[version] = {
                output: Origin(of_output, record.ancestors, version, record.checksums.get(output, ""))
                for record in (manifest.nodes.values() if manifest else ())
                for output, of_output in record.outputs.items()
            }
        return self._known[version].get(name)

    def files_of(self, manifest: Manifest) -> str | None:
        """Return the fingerprint of the raw files of a run's recordings; None if it is not known."""
        recordings = self.find("recordings", manifest.versions.get("recordings", ""))
        return recordings.ancestors.get("raw_files") if recordings else None

    def of_folder(self, folder: Path) -> str:
        """Return the fingerprint of the files in a folder, whose hashes are remembered in the folder ``data``."""
        self._states[folder] = _states_in(folder)
        return fingerprint_folder(folder, FileHashes(self.manifests.folder.parents[1] / _FILE_HASHES, raw_hash_of))

    def require_unchanged(self, folder: Path) -> None:
        """Check that the files in a folder are as they were when their fingerprint was taken.

        Raises:
            ProvenanceError: if one has changed, even if it has its old content again.
        """
        before, now = self._states.get(folder), _states_in(folder)
        if before is not None and before != now:
            changed = min({path for path, _ in before.items() ^ now.items()})
            raise ProvenanceError(f"{changed} changed while it was read. Run again when nothing writes to {folder}.")


def _states_in(folder: Path) -> dict[Path, State]:
    return {path: state_of(path) for path in data_files(folder)}


def fingerprint_nodes(pipeline: Pipeline, catalog: DataCatalog, origins: Origins) -> Iterator[tuple[Node, NodeRecord]]:
    """Yield every node with its record, in the order of execution.

    Args:
        pipeline: The pipeline to run.
        catalog: Catalog with the parameters and the versions to read.
        origins: Origins of the stored data sets.

    Raises:
        ProvenanceError: if data sets that are read and computed together do not come from the same.
    """
    tracing = _Tracing(pipeline, catalog, origins)
    for node in pipeline.nodes:
        yield node, tracing.record(node)


class _Tracing:
    """What is known so far about the settings and the data sets of a pipeline."""

    def __init__(self, pipeline: Pipeline, catalog: DataCatalog, origins: Origins) -> None:
        self._catalog = catalog
        self._stored = origins
        self._origins: dict[str, Origin] = {}
        self._settings: dict[tuple[str, bool], str] = {}
        cells = (Cell.parse(name.rpartition(".")[0]) for name in pipeline.inputs())
        self._provenance = Provenance(self._plans_of(pipeline), filter(None, cells), catalog, origins.manifests)

    def record(self, node: Node) -> NodeRecord:
        """Return the record of a node whose inputs are known."""
        texts = _SHOWS_TEXTS in node.tags
        parts, ancestors = [], {}
        for name in node.inputs:
            if name.endswith(_NOT_INPUTS):
                continue
            if _is_setting(name):
                own = self._setting(name, texts)
                if name.startswith(_PLAN):
                    ancestors[name] = self._setting(name, texts=False)
            else:
                origin = self._origin(name)
                own = origin.fingerprint
                ancestors |= origin.ancestors
                if isinstance(self._catalog.get(name), (AtomicDataset, FolderDataset)):
                    ancestors[name] = own
            parts.append(f"{name}={own}")
        code = code_version(shows=True) if texts else code_version()  # remembered by how it is called
        whole = fingerprint(code, node.name, *parts)
        outputs = {name: fingerprint(whole, name) for name in node.outputs}
        for name, own in outputs.items():
            self._add(name, Origin(own, ancestors))
        return NodeRecord(fingerprint=whole, outputs=outputs, ancestors=ancestors, seconds=0)

    def _add(self, name: str, origin: Origin) -> None:
        self._provenance.add(name, origin)
        self._origins[name] = origin

    def _origin(self, name: str) -> Origin:
        """Return the origin of an input, which is stored if no node of the pipeline has computed it."""
        if name not in self._origins:
            entry = self._catalog.get(name)
            stored = None
            if isinstance(entry, AtomicDataset) and entry.version is not None:
                stored = self._stored.find(name, entry.version)
            own = self._stored.of_folder(entry.load()) if isinstance(entry, FolderDataset) else fingerprint(name)
            self._add(name, stored or Origin(own))
        return self._origins[name]

    def _setting(self, name: str, texts: bool) -> str:
        if (name, texts) not in self._settings:
            settings = plain(self._catalog.load(name))
            shown = settings if texts else _effective(settings)
            self._settings[name, texts] = fingerprint(json.dumps(shown, sort_keys=True, default=str))
        return self._settings[name, texts]

    def _plans_of(self, pipeline: Pipeline) -> dict[str, str]:
        """Return the fingerprints of the plans of all protocols whose settings a pipeline reads, by name."""
        settings = (name for name in pipeline.inputs() if name.startswith("params:"))  # inference reads none of them
        read = {name.removeprefix(_PLAN).removeprefix("params:").split(".")[0] for name in settings}
        plans = (name for name in self._catalog if name.startswith(_PLAN))
        return {
            name: self._setting(name, texts=False) for name in plans if name.removeprefix(_PLAN).split(".")[0] in read
        }


def find_finished(node: Node, digest: str, catalog: DataCatalog, manifests: list[Manifest]) -> Mapping[str, str] | None:
    """Return the versions of a node's outputs from the newest run that finished it with the same fingerprint.

    None if there is no such run, if a version has been deleted, damaged or replaced since, or if the node has outputs
    that are not stored.
    """
    stored = {name: catalog.get(name) for name in node.outputs}
    for manifest in manifests:
        record = manifest.nodes.get(node.name)
        if record is None or record.fingerprint != digest:
            continue
        versions = {name: manifest.versions.get(name, "") for name in node.outputs}
        if all(
            isinstance(entry, AtomicDataset) and entry.is_whole(versions[name], record.checksums.get(name, ""))
            for name, entry in stored.items()
        ):
            return versions
    return None


def _is_setting(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _effective(value: Any) -> Any:
    """Return plain settings without those that change no number, at any depth."""
    if isinstance(value, Mapping):
        return {name: _effective(part) for name, part in value.items() if name not in _WITHOUT_EFFECT}
    return [_effective(part) for part in value] if isinstance(value, list) else value
