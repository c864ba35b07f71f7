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
from contrastive_har.files.fingerprints import code_version, fingerprint
from contrastive_har.refining import plain
from contrastive_har.runs.manifest import Manifest, Manifests

_NOT_INPUTS = (".checkpoints", ".method_check", "params:run")  # inputs that change no result
_TEXTS = ("title", "description", "citation", "url")  # settings that only reports show
_SHOWS_TEXTS = "reporting"  # tag of the nodes whose results these settings change


def fingerprint_nodes(
    pipeline: Pipeline, catalog: DataCatalog, manifests: Manifests
) -> Iterator[tuple[Node, str, dict[str, str]]]:
    """Yield every node with its fingerprint and those of its outputs, in the order of execution.

    Args:
        pipeline: The pipeline to run.
        catalog: Catalog with the parameters and the versions to read.
        manifests: Manifests with the fingerprints of stored data sets.
    """
    of_datasets: dict[str, str] = {}
    settings: dict[tuple[str, bool], str] = {}
    for node in pipeline.nodes:
        texts = _SHOWS_TEXTS in node.tags
        parts = []
        for name in node.inputs:
            if name.endswith(_NOT_INPUTS):
                continue
            if _is_setting(name):
                if (name, texts) not in settings:
                    settings[name, texts] = _fingerprint_of_setting(catalog.load(name), texts)
                parts.append(f"{name}={settings[name, texts]}")
                continue
            if name not in of_datasets:
                of_datasets[name] = _fingerprint_of(name, catalog, manifests)
            parts.append(f"{name}={of_datasets[name]}")
        node_fingerprint = fingerprint(code_version(), node.name, *parts)
        outputs = {name: fingerprint(node_fingerprint, name) for name in node.outputs}
        of_datasets |= outputs
        yield node, node_fingerprint, outputs


def find_finished(node: Node, digest: str, catalog: DataCatalog, manifests: list[Manifest]) -> Mapping[str, str] | None:
    """Return the versions of a node's outputs from the newest run that finished it with the same fingerprint.

    None if there is no such run, if a version has been deleted since, or if the node has outputs that are not stored.
    """
    stored = {name: catalog.get(name) for name in node.outputs}
    for manifest in manifests:
        record = manifest.nodes.get(node.name)
        if record is None or record.fingerprint != digest:
            continue
        versions = {name: manifest.versions.get(name, "") for name in node.outputs}
        if all(isinstance(entry, AtomicDataset) and entry.has(versions[name]) for name, entry in stored.items()):
            return versions
    return None


def _is_setting(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _fingerprint_of_setting(value: Any, texts: bool) -> str:
    settings = plain(value)
    return fingerprint(json.dumps(settings if texts else _without_texts(settings), sort_keys=True, default=str))


def _without_texts(value: Any) -> Any:
    """Return plain settings without the texts that only reports show, at any depth."""
    if isinstance(value, Mapping):
        return {name: _without_texts(part) for name, part in value.items() if name not in _TEXTS}
    return [_without_texts(part) for part in value] if isinstance(value, list) else value


def _fingerprint_of(name: str, catalog: DataCatalog, manifests: Manifests) -> str:
    """Return the fingerprint of a data set that no node of this run computes."""
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
    """Return a fingerprint of the names, sizes and times of files, whose content may be gigabytes."""
    inside = folder.rglob("*") if folder.is_dir() else [folder]
    files = sorted(path for path in inside if path.is_file())
    states = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    return fingerprint(*(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states))
