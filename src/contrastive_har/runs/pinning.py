"""The choice of the versions that a run reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import chain

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from contrastive_har.catalog import AtomicDataset
from contrastive_har.runs.commands import making
from contrastive_har.runs.lineage import Origins, fingerprint_nodes
from contrastive_har.runs.manifest import NodeRecord
from contrastive_har.runs.provenance import ProvenanceError


def pin_versions(
    pipeline: Pipeline, catalog: DataCatalog, origins: Origins, run_id: str, earlier: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, NodeRecord]]:
    """Pin the versions that a run reads: its own, else those it has read before, else earlier ones.

    Earlier ones are the newest of each data set. If these do not belong together or to the settings, they are those of
    the newest run that had all, and with which they do.

    Args:
        pipeline: The pipeline to run.
        catalog: Catalog whose entries are pinned, except those that the user has pinned.
        origins: Origins of the stored data sets.
        run_id: Id of the run.
        earlier: Versions that the run has read and written before.

    Returns:
        The versions of the data sets that the run reads, and the record of each node by name.

    Raises:
        ProvenanceError: if no versions belong together.
        ValueError: if there is no version of a data set, or not the one that the user has pinned, if that is not what
            its run has stored, or if the user has pinned what the run computes.
    """
    fixed: dict[str, str] = {}
    free: dict[str, AtomicDataset] = {}
    for name, entry in _versioned(pipeline, catalog):
        if name in pipeline.all_outputs():
            if entry.is_pinned and entry.version != run_id:
                raise ValueError(
                    f"{name}: this run computes it, so that no version of it can be chosen. Leave it out of "
                    f"--load-versions, or run what follows from it only: --from-inputs={name}."
                )
            entry.pin(run_id)
        elif entry.is_pinned:
            fixed[name] = _require(name, str(entry.version), entry, origins)
        else:
            before = (
                version for version in (run_id, earlier.get(name, "")) if _is_known(name, version, entry, origins)
            )
            if version := next(before, None):
                fixed[name] = _require(name, version, entry, origins)
            else:
                free[name] = entry
    mismatch: ProvenanceError | None = None
    for chosen in _candidates(free, origins, run_id):
        versions = fixed | chosen
        for name, entry in _versioned(pipeline, catalog):
            if name in versions:
                entry.pin(versions[name])
        try:
            records = {node.name: record for node, record in fingerprint_nodes(pipeline, catalog, origins)}
        except ProvenanceError as error:
            mismatch = mismatch or error
            continue
        if mismatch:
            logging.getLogger(__name__).warning("Not the newest versions are read: %s", mismatch)
        return versions, records
    read = {name: entry for name, entry in _versioned(pipeline, catalog) if name in (*fixed, *free)}
    raise ProvenanceError(f"{mismatch}{_of_one_run(read, origins, run_id)}") from mismatch


def _of_one_run(read: Mapping[str, AtomicDataset], origins: Origins, run_id: str) -> str:
    """Return how to read what the newest earlier run has read that had all of some data sets; empty if none had."""
    for manifest in origins.manifests.newest_first():
        versions = {name: manifest.versions.get(name, "") for name in read}
        if manifest.run_id < run_id and all(_is_usable(name, versions[name], read[name], origins) for name in read):
            return (
                f" Or repeat this part of run {manifest.run_id}, with its --env and --params and run_id="
                f"{manifest.run_id} and without --load-versions: what it has stored is replaced."
            )
    return ""


def _versioned(pipeline: Pipeline, catalog: DataCatalog) -> Iterator[tuple[str, AtomicDataset]]:
    for name in sorted(pipeline.datasets()):
        entry = catalog.get(name) if not name.startswith("params:") else None
        if isinstance(entry, AtomicDataset) and entry.is_versioned:
            yield name, entry


def _candidates(free: Mapping[str, AtomicDataset], origins: Origins, run_id: str) -> Iterator[dict[str, str]]:
    """Yield the newest version of each data set, then those of each run that had all."""
    newest = {}
    for name, entry in free.items():
        # One after the other: whether a version is known is read from the manifest of its run.
        there = (one for one in entry.newest_versions() if one <= run_id and _is_known(name, one, entry, origins))
        if (first := next(there, None)) is None:
            raise ValueError(
                f"{name} has no version yet. Run '{making(name)}' first, with the --env and --params of this run."
            )
        usable = (version for version in chain([first], there) if _is_usable(name, version, entry, origins))
        newest[name] = _require(name, next(usable, first), entry, origins)
    yield newest
    for manifest in origins.manifests.newest_first() if free else ():
        chosen = {name: manifest.versions.get(name, "") for name in free}
        complete = all(_is_usable(name, version, free[name], origins) for name, version in chosen.items())
        if manifest.run_id <= run_id and chosen != newest and complete:
            yield chosen


def _is_known(name: str, version: str, entry: AtomicDataset, origins: Origins) -> bool:
    """Return whether a version exists and its origin is recorded; a run that is broken off in between records none."""
    return bool(version) and entry.has(version) and origins.find(name, version) is not None


def _is_usable(name: str, version: str, entry: AtomicDataset, origins: Origins) -> bool:
    """Return whether a version is known and undamaged; it is read in any case, so that this costs nothing more."""
    if not _is_known(name, version, entry, origins):
        return False
    if fault := _fault(name, version, entry, origins):
        logging.getLogger(__name__).warning("Version %s of %s %s, and is not read.", version, name, fault)
        return False
    return True


def _fault(name: str, version: str, entry: AtomicDataset, origins: Origins) -> str:
    """Return what is wrong with a known version, if anything."""
    if not entry.is_whole(version):
        return "is damaged"
    origin = origins.find(name, version)
    is_own = entry.is_whole(version, origin.checksum if origin else "")
    return "" if is_own else "is not what its run has stored there"


def _require(name: str, version: str, entry: AtomicDataset, origins: Origins) -> str:
    if _is_known(name, version, entry, origins):
        if fault := _fault(name, version, entry, origins):
            raise ValueError(
                f"Version {version} of {name} {fault}. Restore it, or delete it and run again with "
                "--params=resume=true."
            )
        return version
    there = [other for other in entry.newest_versions() if _is_known(name, other, entry, origins)]
    listed = f"The newest are {', '.join(there[:5])}." if there else f"It has none yet: run '{making(name)}' first."
    raise ValueError(f"{name} has no version {version}. {listed}")
