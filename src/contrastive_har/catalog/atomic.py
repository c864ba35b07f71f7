"""Makes any file data set's save atomic: a version exists completely or not at all."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, AbstractVersionedDataset, Version

from contrastive_har.files.atomic import sync
from contrastive_har.files.checksums import is_whole, read_checksum, require_whole, write_checksum


class AtomicDataset(AbstractVersionedDataset[Any, Any]):
    """Wraps a data set that reads and writes one file.

    A save writes into a hidden folder beside its target, syncs it and renames it: readers never see an incomplete
    version, and a crash leaves none behind. The wrapped formats need no code for versions or crashes. Every version has
    its checksum beside it, and is checked before it is loaded.

    Args:
        filepath: Path of the file, or of the folder of its versions.
        dataset: The wrapped data set: its type, or its configuration without ``filepath``.
        version: Version to load and save, if the entry is ``versioned``.
        metadata: For kedro-viz and other plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        dataset: str | dict[str, Any],
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self._config = {"type": dataset} if isinstance(dataset, str) else dict(dataset)
        self.metadata = metadata
        if hasattr(self._format(filepath), "preview"):
            self.preview = self._preview_like(self._format(filepath).preview)

    @property
    def path(self) -> Path:
        """The file that :meth:`load` reads."""
        return Path(str(self._get_load_path()))

    @property
    def folder(self) -> Path:
        """The folder of all versions."""
        return Path(str(self._filepath))

    @property
    def is_versioned(self) -> bool:
        """Whether the entry is versioned."""
        return self._version is not None

    @property
    def is_pinned(self) -> bool:
        """Whether the load version is pinned."""
        return self._version is not None and self._version.load is not None

    @property
    def version(self) -> str | None:
        """The version that :meth:`load` reads."""
        return self.resolve_load_version()

    def newest_versions(self) -> list[str]:
        """Return the stored versions, the newest first."""
        return sorted((path.parent.name for path in self.folder.glob(f"*/{self.folder.name}")), reverse=True)

    def has(self, version: str) -> bool:
        """Return whether a version exists."""
        return (self.folder / version / self.folder.name).is_file()

    def is_whole(self, version: str, checksum: str = "") -> bool:
        """Return whether a version exists and is what was written, and has a checksum that is known from elsewhere."""
        return is_whole(self.folder / version / self.folder.name) and checksum in ("", self.checksum(version))

    def checksum(self, version: str) -> str:
        """Return the checksum that a version was written with; empty if there is none."""
        return read_checksum(self.folder / version / self.folder.name)

    def pin(self, version: str) -> None:
        """Make :meth:`load` read this version and no other."""
        self._version = Version(version, self._version.save if self._version else None)
        self._clear_version_cache()

    def load(self) -> Any:
        """Load the current version of this entry.

        Raises:
            FileNotFoundError: if there is no such version.
            SchemaError: if it is not what was written.
        """
        path = self.path
        if not path.is_file():
            there = f" The newest are {', '.join(newest)}." if (newest := self.newest_versions()[:5]) else ""
            raise FileNotFoundError(f"{path}: there is no such file.{there}")
        if self._version:
            require_whole(path)
        return self._format(str(path)).load()

    def save(self, data: Any) -> None:
        """Save a version, or the file if the entry is not versioned.

        An existing version is replaced: only a repeated part of a run writes to the same version.
        """
        version = self.resolve_save_version()
        target = self.folder / version / self.folder.name if version else self.folder
        folder = target.parent.parent if self._version else target.parent
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / f".writing-{uuid.uuid4().hex}"
        staging.mkdir()
        try:
            staged = staging / target.name
            self._format(str(staged)).save(data)
            sync(staged)
            if self._version:
                sync(write_checksum(staged))
            sync(staging)
            if self._version:
                if target.parent.exists():
                    target.parent.replace(staging.with_name(f".replaced-{uuid.uuid4().hex}"))
                staging.replace(target.parent)
            else:
                staged.replace(target)
            sync(folder)
        finally:
            for leftover in (staging, *folder.glob(".replaced-*")):
                shutil.rmtree(leftover, ignore_errors=True)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dataset": self._config["type"], "version": self._version}

    def _format(self, filepath: str) -> Any:
        return AbstractDataset.from_config("format", {**self._config, "filepath": filepath})

    def _preview_like(self, original: Any) -> Any:
        def preview(**arguments: Any) -> Any:
            return self._format(str(self.path)).preview(**arguments)

        # kedro-viz chooses how to draw a preview by the annotation of what it returns.
        preview.__annotations__ = {"return": original.__annotations__["return"]}
        return preview
