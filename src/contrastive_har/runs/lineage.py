"""Lineage: a fingerprint of everything a node's result depends on, and of everything those come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.catalog import AtomicDataset, FolderDataset
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.settings import plain
from contrastive_har.signals.fingerprints import code_version, fingerprint

_NOT_INPUTS = (".checkpoints",)  # whatever lies there, the result is the same


def fingerprint_nodes(
    pipeline: Pipeline, catalog: DataCatalog, manifests: Manifests
) -> Iterator[tuple[Node, str, dict[str, str]]]:
    """Give every node its fingerprint, and each of its outputs one, in the order of execution.

    Args:
        pipeline: What is about to run.
        catalog: Knows parameters and the versions of what is read.
        manifests: Know where stored data sets come from.
    """
    known: dict[str, str] = {}
    for node in pipeline.nodes:
        inputs = [name for name in node.inputs if not name.endswith(_NOT_INPUTS)]
        for name in inputs:
            if name not in known:
                known[name] = _fingerprint_of(name, catalog, manifests)
        own = fingerprint(code_version(), node.name, *(f"{name}={known[name]}" for name in inputs))
        outputs = {name: fingerprint(own, name) for name in node.outputs}
        known |= outputs
        yield node, own, outputs


def find_finished(node: Node, own: str, catalog: DataCatalog, manifests: list[Manifest]) -> Mapping[str, str] | None:
    """Return the versions of a node's outputs from the newest run that finished it with the same fingerprint.

    Nothing if there is none, if a version has been deleted since, or if the node has outputs that are not stored.
    """
    stored = {name: catalog.get(name) for name in node.outputs}
    for manifest in manifests:
        record = manifest.nodes.get(node.name)
        if record is None or record.fingerprint != own:
            continue
        versions = {name: manifest.versions.get(name, "") for name in node.outputs}
        if all(isinstance(entry, AtomicDataset) and entry.has(versions[name]) for name, entry in stored.items()):
            return versions
    return None


def _fingerprint_of(name: str, catalog: DataCatalog, manifests: Manifests) -> str:
    """Return the fingerprint of something that no node of this run makes."""
    if name == "parameters" or name.startswith("params:"):
        return fingerprint(json.dumps(plain(catalog.load(name)), sort_keys=True, default=str))
    entry = catalog.get(name)
    if isinstance(entry, FolderDataset):
        return _fingerprint_of_folder(entry.load())
    version = entry.version if isinstance(entry, AtomicDataset) else None
    if version is None:
        return fingerprint(name)
    manifest = manifests.find(version)
    for record in manifest.nodes.values() if manifest else ():
        if name in record.outputs:
            return record.outputs[name]
    return fingerprint(name, version)


def _fingerprint_of_folder(folder: Path) -> str:
    """Return a fingerprint of names, sizes and times; the content of gigabytes is not read."""
    inside = folder.rglob("*") if folder.is_dir() else [folder]
    files = sorted(path for path in inside if path.is_file())
    states = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    return fingerprint(*(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states))
