"""Official files where a user has put them: in a folder, unpacked or in the downloaded zip archives."""

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

_LARGEST = 1 << 28  # bytes of a file inside an archive; the official ones have a hundredth of that


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
            BadRecordingError: if it cannot be read, or is far larger than an official file.
        """
        try:
            if not self.inside:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive, archive.open(self.inside) as file:
                content = file.read(_LARGEST + 1)  # whatever size the archive declares
        except Exception as error:  # archives promise none of the errors that damaged ones cause
            raise BadRecordingError(f"{self.where}: cannot be read ({explain(error)}). Download it again.") from error
        if len(content) > _LARGEST:
            raise BadRecordingError(f"{self.where}: unpacks to more than {_LARGEST} bytes. Download it again.")
        return content


def find_members(folder: Path, pattern: str, description: DatasetDescription) -> list[Member]:
    """Find official files by their path, in the order of the numbers in their names.

    Args:
        folder: Searched with all its subfolders and zip archives; or one archive.
        pattern: Regular expression for a path inside it, with ``/`` between folders.
        description: For the message.

    Raises:
        BadRecordingError: if there is none, and the message says what to download and where to put it; if an archive
            is broken or holds what no honest archive holds.
    """
    expression = re.compile(pattern)
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
    warn_of_missing(len(found), folder, description)
    return [found[parts] for parts in sorted(found, key=lambda parts: [(len(p), p) for p in parts])]


def warn_of_missing(found: int, folder: Path, description: DatasetDescription) -> None:
    """Say so if a folder holds fewer files than there are."""
    if found < description.files:
        logging.getLogger(__name__).warning(
            "%s holds %d of the %d files of %s; scores of a part cannot be compared with those of all. Unpack or "
            "download the archive again.",
            *(folder, found, description.files, description.title),
        )


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    yield from ((path, "") for path in sorted(folder.rglob("*")) if path.is_file())


def _archived(folder: Path) -> Iterator[tuple[Path, str]]:
    inside = (path for path in sorted(folder.rglob("*.zip")) if not path.name.startswith("."))  # broken-off downloads
    for path in [folder] if folder.is_file() else inside:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except Exception as error:  # see above
            raise BadRecordingError(
                f"{path}: not a readable zip archive ({explain(error)}). Download it again."
            ) from error
        for entry in entries:
            # Nothing is unpacked, so these could do no harm here; but whoever made them meant some.
            name = PureWindowsPath(entry.filename)  # knows what is a root or a parent on any system
            if name.anchor or ".." in name.parts or stat.S_ISLNK(entry.external_attr >> 16):
                raise BadRecordingError(
                    f"{path}: its entry '{entry.filename}' points out of the archive. Download it again from its "
                    "publisher."
                )
            yield path, entry.filename
