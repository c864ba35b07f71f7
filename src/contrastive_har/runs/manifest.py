"""The manifest of a run: everything needed to know where a number comes from, kept up to date while it runs."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from pydantic import BaseModel, ConfigDict

from contrastive_har.files.atomic import write_atomically
from contrastive_har.files.stamps import SchemaError, refuse_broken
from contrastive_har.files.tables import read_facts, write_facts

MANIFEST = "run_manifest"
"""The catalog's entry, and the kind of file."""


class NodeRecord(BaseModel):
    """One finished node.

    Attributes:
        fingerprint: Of its code, its parameters and all that its inputs come from.
        outputs: Stored data sets, by name, with a fingerprint each.
        seconds: It took, saving included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    outputs: dict[str, str]
    seconds: float


class Manifest(BaseModel):
    """What a run was.

    Attributes:
        run_id: Its id, and the version of what it stored.
        code: Fingerprint of the package and the libraries that compute.
        packages: Versions of all installed packages.
        parameters: As configured.
        pipelines: What was run; several entries where a scheduler runs a task at a time.
        tracked_run: Id of the run on the tracking server.
        parts: Parts of the run that have begun and not ended well: the process that is at it, or that it failed.
        versions: Version of every data set that was read or written.
        nodes: Finished nodes, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    code: str
    packages: dict[str, str]
    parameters: dict[str, Any]
    pipelines: list[str] = []
    tracked_run: str | None = None
    parts: dict[str, str] = {}
    versions: dict[str, str] = {}
    nodes: dict[str, NodeRecord] = {}

    def with_versions(self, versions: Mapping[str, str]) -> Manifest:
        """Return the manifest with the versions of more data sets."""
        return self.model_copy(update={"versions": {**self.versions, **versions}})


class Manifests:
    """The manifests of all runs of a project, a folder each, laid out like any versioned data set.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, run_id: str) -> Path:
        """Return where a run's manifest is or will be."""
        return self.folder / run_id / self.folder.name

    def find(self, run_id: str) -> Manifest | None:
        """Return a run's manifest, if it has one.

        Raises:
            SchemaError: if the file is broken.
        """
        path = self.path(run_id)
        return _read(path) if path.exists() else None

    def newest_first(self) -> Iterator[Manifest]:
        """Find all manifests.

        Raises:
            SchemaError: if one is broken.
        """
        for path in sorted(self.folder.glob(f"*/{self.folder.name}"), reverse=True):
            yield _read(path)

    def begin(self, run_id: str, change: Callable[[Manifest | None], Manifest]) -> Manifest:
        """Make a run's manifest, or change it; tasks of a run that work side by side wait for one another."""
        with self._locked():
            changed = change(self.find(run_id))
            path = self.path(run_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(path) as staged:
                write_facts(changed.model_dump(mode="json"), staged, MANIFEST)
            return changed

    def update(self, run_id: str, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Change the manifest of a run that has begun.

        Raises:
            LookupError: if it is not there any more.
        """

        def of_known(known: Manifest | None) -> Manifest:
            if known is None:
                raise LookupError(f"the manifest of run {run_id} has been deleted while it ran")
            return change(known)

        return self.begin(run_id, of_known)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def manifests_of(catalog: DataCatalog) -> Manifests:
    """Return the manifests of the project a catalog belongs to."""
    from contrastive_har.catalog import AtomicDataset

    entry = catalog.get(MANIFEST)
    if not isinstance(entry, AtomicDataset):
        raise TypeError(f"the catalog's entry '{MANIFEST}' must be an AtomicDataset")
    return Manifests(entry.folder)


def _read(path: Path) -> Manifest:
    with refuse_broken(path, MANIFEST):
        manifest = Manifest.model_validate(read_facts(path, MANIFEST))
        if manifest.run_id != path.parent.name:  # clean-runs goes by the ids
            raise SchemaError(f"{path}: is the manifest of run {manifest.run_id}. Move it back into that run's folder.")
        return manifest


def installed_packages() -> dict[str, str]:
    """Return the versions of all installed packages by name."""
    read = (package.metadata for package in distributions())  # once: each look parses the file again
    return dict(sorted((metadata["Name"], metadata["Version"]) for metadata in read))
