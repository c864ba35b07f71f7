"""Official files where a user has put them: in a folder, unpacked or in the downloaded zip archives."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contrastive_har.signals.recordings import BadRecordingError, DatasetDescription


@dataclass(frozen=True)
class Member:
    """One file, on disk or inside a zip archive; archives are read in place and never unpacked.

    Attributes:
        path: The file, or the archive.
        inside: Its name inside the archive; empty for a file on disk.
        parts: What the groups of the pattern it was found by matched.
    """

    path: Path
    inside: str
    parts: tuple[str, ...]

    @property
    def where(self) -> str:
        """The file's name for messages."""
        return f"{self.path}: {self.inside}" if self.inside else str(self.path)

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            BadRecordingError: if it cannot be read.
        """
        try:
            if not self.inside:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.inside)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise BadRecordingError(f"{self.where}: cannot be read ({error}). Download it again.") from error


def find_members(folder: Path, pattern: str, description: DatasetDescription) -> list[Member]:
    """Find official files by the end of their path, in the order of the numbers in their names.

    Args:
        folder: Searched with all its subfolders and zip archives.
        pattern: Regular expression for the end of a path, with ``/`` between folders.
        description: For the message.

    Raises:
        BadRecordingError: if there is none; the message says what to download and where to put it.
    """
    expression = re.compile(f"(?:.*/)?{pattern}")
    found: dict[tuple[str, ...], Member] = {}
    # What is unpacked comes first: who has both has them twice.
    for path, inside in [*_files(folder), *_archived(folder)]:
        name = inside or path.relative_to(folder).as_posix()
        match = expression.fullmatch(name)
        if match and "__MACOSX/" not in name:
            found.setdefault(match.groups(), Member(path, inside, match.groups()))
    if not found:
        raise BadRecordingError(
            f"{folder} holds no file of {description.title}. Download {description.download or description.url} "
            f"(make data DATASET={description.name}) and put the archive, or what is in it, into that folder."
        )
    return [found[parts] for parts in sorted(found, key=lambda parts: [(len(p), p) for p in parts])]


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    if folder.is_dir():
        yield from ((path, "") for path in sorted(folder.rglob("*")) if path.is_file())


def _archived(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*.zip")) if folder.is_dir() else []:
        try:
            with zipfile.ZipFile(path) as archive:
                yield from ((path, name) for name in archive.namelist())
        except (OSError, zipfile.BadZipFile) as error:
            raise BadRecordingError(f"{path}: not a readable zip archive ({error}). Download it again.") from error
