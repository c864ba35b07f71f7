"""The manifest of a run: the origin of all its results, updated while it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from pydantic import Field

from contrastive_har.files.atomic import write_atomically
from contrastive_har.files.locks import locked
from contrastive_har.files.stamps import SchemaError, refuse_broken
from contrastive_har.files.tables import read_facts, write_facts
from contrastive_har.strict import StrictModel

MANIFEST = "run_manifest"
"""Name of the catalog entry, and kind of the file."""


class NodeRecord(StrictModel):
    """One finished node.

    Attributes:
        fingerprint: Fingerprint of its code, its parameters and the origin of its inputs.
        outputs: Fingerprints of the stored outputs by name.
        checksums: Checksums of the stored outputs by name; those of older releases have none.
        ancestors: Fingerprints of the stored data sets, of the folders of raw files and of the plans that the outputs
            come from, directly and indirectly, by name.
        seconds: Duration, saving included.
    """

    fingerprint: str
    outputs: dict[str, str]
    checksums: dict[str, str] = Field(default_factory=dict)
    ancestors: dict[str, str]
    seconds: float


class Manifest(StrictModel):
    """The manifest of a run.

    Attributes:
        run_id: Id of the run, and version of the data sets it stored.
        code: Fingerprint of the package and the libraries that compute.
        packages: Versions of all installed packages.
        parameters: Parameters as configured.
        pipelines: Pipelines that were run; several entries if a scheduler runs single tasks.
        commands: Commands that ran them.
        tracked_run: Id of the run on the tracking server.
        parts: Parts of the run that have started and not succeeded: the process that runs it, or ``failed``.
        running: Names of the nodes that each process at work is running.
        versions: Version of every data set that was read or written.
        nodes: Finished nodes, by name.
    """

    run_id: str
    code: str
    packages: dict[str, str]
    parameters: dict[str, Any]
    pipelines: list[str] = Field(default_factory=list)
    commands: list[str] = Field(default_factory=list)
    tracked_run: str | None = None
    parts: dict[str, str] = Field(default_factory=dict)
    running: dict[str, list[str]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    nodes: dict[str, NodeRecord] = Field(default_factory=dict)

    def with_versions(self, versions: Mapping[str, str]) -> Manifest:
        """Return the manifest with the versions of more data sets."""
        return self.model_copy(update={"versions": {**self.versions, **versions}})

    def with_node(self, name: str, record: NodeRecord) -> Manifest:
        """Return the manifest with another finished node."""
        return self.model_copy(update={"nodes": {**self.nodes, name: record}})

    def without(self, planned: Mapping[str, NodeRecord]) -> Manifest:
        """Return the manifest without the nodes that are to run again with another fingerprint.

        From then on, what they have stored may be the old or the new; so may what those with the same fingerprint have,
        of which only the checksums are forgotten.
        """
        kept = {
            name: record.model_copy(update={"checksums": {}}) if name in planned else record
            for name, record in self.nodes.items()
            if name not in planned or planned[name].fingerprint == record.fingerprint
        }
        return self.model_copy(update={"nodes": kept})


class Manifests:
    """The manifests of all runs of a project, in one folder per run, like any versioned data set.

    Args:
        folder: Folder of the manifests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, project: Path) -> Manifests:
        """Return the manifests of the project in a folder."""
        return cls(project / f"data/08_reporting/{MANIFEST}.json")

    def path(self, run_id: str) -> Path:
        """Return the path of the manifest of a run."""
        return self.folder / run_id / self.folder.name

    def find(self, run_id: str) -> Manifest | None:
        """Return the manifest of a run, if there is one that this release has written.

        Raises:
            SchemaError: if the file is broken.
        """
        path = self.path(run_id)
        try:
            return _read(path)
        except SchemaError:
            if path.exists():
                raise
            return None

    def newest_first(self) -> Iterator[Manifest]:
        """Yield all manifests that this release has written, the newest first.

        Raises:
            SchemaError: if one is broken.
        """
        for path in sorted(self.folder.glob(f"*/{self.folder.name}"), reverse=True):
            if (manifest := self.find(path.parent.name)) is not None:
                yield manifest

    def begin(self, run_id: str, change: Callable[[Manifest | None], Manifest]) -> Manifest:
        """Create or change the manifest of a run, under a lock, since tasks of a run may run in parallel."""
        with self.locked():
            changed = change(self.find(run_id))
            path = self.path(run_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(path) as staged:
                write_facts(changed.model_dump(mode="json"), staged, MANIFEST)
            return changed

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock under which manifests are changed."""
        return locked(self.folder / ".lock")

    def update(self, run_id: str, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Change the manifest of a run that has begun.

        Raises:
            LookupError: if it has been deleted.
        """

        def change_existing(manifest: Manifest | None) -> Manifest:
            if manifest is None:
                raise LookupError(f"the manifest of run {run_id} has been deleted while it ran")
            return change(manifest)

        return self.begin(run_id, change_existing)


def manifests_of(catalog: DataCatalog) -> Manifests:
    """Return the manifests of the project a catalog belongs to."""
    from contrastive_har.catalog import AtomicDataset

    entry = catalog.get(MANIFEST)
    if not isinstance(entry, AtomicDataset):
        raise TypeError(f"the catalog's entry '{MANIFEST}' must be an AtomicDataset")
    return Manifests(entry.folder)


def _read(path: Path) -> Manifest | None:
    """Return a manifest; None if it is of another release, which cannot read the data of that run either."""
    with refuse_broken(path, MANIFEST):
        try:
            facts = read_facts(path, MANIFEST)
        except SchemaError as error:
            if error.of_other_release:
                return None
            raise
        manifest = Manifest.model_validate(facts)
        if manifest.run_id != path.parent.name:  # clean-runs relies on the ids
            raise SchemaError(f"{path}: is the manifest of run {manifest.run_id}. Move it back into that run's folder.")
        return manifest


def installed_packages() -> dict[str, str]:
    """Return the versions of all installed packages by name."""
    heads = ((package.read_text("METADATA") or "").partition("\n\n")[0] for package in distributions())
    # Parsing the whole files takes a tenth of the start of a run.
    found = (dict(re.findall(r"^(Name|Version): (.*)$", head, re.MULTILINE)) for head in heads)
    return dict(sorted((fields["Name"], fields["Version"]) for fields in found if len(fields) == 2))
