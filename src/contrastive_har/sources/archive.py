"""Official files in a folder, unpacked or in the downloaded zip archives."""

from __future__ import annotations

import logging
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError

_LARGEST = 1 << 28  # bytes of a file inside an archive, a hundred times the size of official files


@dataclass(frozen=True)
class Member:
    """One file, on disk or inside a zip archive; archives are read in place and never unpacked.

    Attributes:
        path: The file, or the archive.
        inside: Name inside the archive; empty for a file on disk.
        parts: Matches of the groups of the search pattern.
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
            BadRecordingError: if it cannot be read, or is far larger than an official file.
        """
        try:
            if not self.inside:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive, archive.open(self.inside) as file:
                content = file.read(_LARGEST + 1)  # whatever size the archive declares
        except Exception as error:  # the errors of damaged archives are not documented
            raise BadRecordingError(f"{self.where}: cannot be read ({explain(error)}). Download it again.") from error
        if len(content) > _LARGEST:
            raise BadRecordingError(f"{self.where}: unpacks to more than {_LARGEST} bytes. Download it again.")
        return content


def find_members(folder: Path, pattern: str, description: DatasetDescription, part: str = "") -> list[Member]:
    """Find official files by their path, in the order of the numbers in their names.

    Args:
        folder: Searched with all its subfolders and zip archives; or one archive.
        pattern: Regular expression for a path inside it, with ``/`` between folders.
        description: For the message.
        part: Which of its files match, for the message; empty if all do.

    Raises:
        BadRecordingError: if there is none; the message says what to download and where to put it. If an archive is
            broken or has entries that point out of it.
    """
    expression = re.compile(pattern)
    found: dict[tuple[str, ...], Member] = {}
    # Unpacked files come first, in case the archive is there as well.
    for path, inside in [*_files(folder), *_archived(folder)]:
        name = inside or path.relative_to(folder).as_posix()
        match = expression.fullmatch(name)
        if match and "__MACOSX/" not in name:
            found.setdefault(match.groups(), Member(path, inside, match.groups()))
    if not found:
        what = f"{description.title}, {part}" if part else description.title
        raise BadRecordingError(f"{folder} holds no file of {what}. {_how_to_get(description)}")
    warn_of_missing(len(found), folder, description)
    return [found[parts] for parts in sorted(found, key=lambda parts: [(len(p), p) for p in parts])]


def _how_to_get(description: DatasetDescription) -> str:
    if description.request:
        return (
            f"Request {description.request} at {description.url} and put it into that folder; archives other than zip "
            "must be unpacked."
        )
    if not description.download:
        return f"Download {description.url} and put the archive, or what is in it, into that folder."
    archives = "the archive, or what is in it," if len(description.download) == 1 else "the archives, or their content,"
    return (
        f"Download {' and '.join(description.download)} (make data DATASET={description.name}) and put {archives} into "
        "that folder."
    )


def warn_of_missing(found: int, folder: Path, description: DatasetDescription) -> None:
    """Warn if a folder holds fewer files than the data set has."""
    if found < description.files:
        logging.getLogger(__name__).warning(
            "%s holds %d of the %d files of %s; scores of a part cannot be compared with those of all. Unpack or "
            "download the archive again.",
            *(folder, found, description.files, description.title),
        )


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    yield from ((path, "") for path in sorted(folder.rglob("*")) if path.is_file())


def _archived(folder: Path) -> Iterator[tuple[Path, str]]:
    inside = (path for path in sorted(folder.rglob("*.zip")) if not path.name.startswith("."))  # interrupted downloads
    for path in [folder] if folder.is_file() else inside:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except Exception as error:  # not documented either
            raise BadRecordingError(
                f"{path}: not a readable zip archive ({explain(error)}). Download it again."
            ) from error
        for entry in entries:
            # Harmless here, since nothing is unpacked, but a sign of a malicious archive.
            name = PureWindowsPath(entry.filename)  # recognises roots and parents of all systems
            if name.anchor or ".." in name.parts or stat.S_ISLNK(entry.external_attr >> 16):
                raise BadRecordingError(
                    f"{path}: its entry '{entry.filename}' points out of the archive. Download it again from its "
                    "publisher."
                )
            yield path, entry.filename
