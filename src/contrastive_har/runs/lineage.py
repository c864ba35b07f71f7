"""Lineage: a fingerprint of everything a node's result depends on, and of everything those come from."""

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

_NOT_INPUTS = (".checkpoints", ".method_check")  # which change no result
_WORDS = ("title", "description", "citation", "url")  # settings that only the report shows
_SHOWS_WORDS = "reporting"  # tag of the nodes whose results they change


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
    settings: dict[tuple[str, bool], str] = {}
    for node in pipeline.nodes:
        words = _SHOWS_WORDS in node.tags
        parts = []
        for name in node.inputs:
            if name.endswith(_NOT_INPUTS):
                continue
            if _is_setting(name):
                if (name, words) not in settings:
                    settings[name, words] = _fingerprint_of_setting(catalog.load(name), words)
                parts.append(f"{name}={settings[name, words]}")
                continue
            if name not in known:
                known[name] = _fingerprint_of(name, catalog, manifests)
            parts.append(f"{name}={known[name]}")
        own = fingerprint(code_version(), node.name, *parts)
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


def _is_setting(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _fingerprint_of_setting(value: Any, words: bool) -> str:
    settings = plain(value)
    return fingerprint(json.dumps(settings if words else _without_words(settings), sort_keys=True, default=str))


def _without_words(value: Any) -> Any:
    """Return plain settings without titles and descriptions, at any depth."""
    if isinstance(value, Mapping):
        return {name: _without_words(part) for name, part in value.items() if name not in _WORDS}
    return [_without_words(part) for part in value] if isinstance(value, list) else value


def _fingerprint_of(name: str, catalog: DataCatalog, manifests: Manifests) -> str:
    """Return the fingerprint of something that no node of this run makes."""
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
