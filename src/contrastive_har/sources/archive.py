"""Official files in a folder, unpacked or in the downloaded zip archives."""

from __future__ import annotations

import logging
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import IO

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError

_LARGEST = 1 << 29  # bytes of a file inside an archive, more than any official one has
_LARGEST_ARCHIVE = 1 << 31  # bytes of an archive inside an archive, more than any official one has


@dataclass(frozen=True)
class Member:
    """One file, on disk or inside a zip archive; archives are read in place and never unpacked.

    Attributes:
        path: The file, or the archive.
        inside: Name inside the archive, after that of the archive inside the archive if there is one; empty for a file
            on disk.
        parts: Matches of the groups of the search pattern.
    """

    path: Path
    inside: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def where(self) -> str:
        """The file's name for messages."""
        return ": ".join([str(self.path), *self.inside])

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            BadRecordingError: if it cannot be read, or is far larger than an official file.
        """
        try:
            if not self.inside:
                return self.path.read_bytes()
            *outer, name = self.inside
            with zipfile.ZipFile(_archive(self.path, *outer)) as archive, archive.open(name) as file:
                content = file.read(_LARGEST + 1)  # whatever size the archive declares
        except Exception as error:  # the errors of damaged archives are not documented
            raise BadRecordingError(f"{self.where}: cannot be read ({explain(error)}). Download it again.") from error
        if len(content) > _LARGEST:
            raise BadRecordingError(f"{self.where}: unpacks to more than {_LARGEST} bytes. Download it again.")
        return content


def find_members(folder: Path, pattern: str, description: DatasetDescription, part: str = "") -> list[Member]:
    """Find official files by their path, in the order of the numbers in their names.

    Args:
        folder: Searched with all its subfolders, its zip archives, and the archives in those; or one archive.
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
        name = inside[-1] if inside else path.relative_to(folder).as_posix()
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


def _files(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    yield from ((path, ()) for path in sorted(folder.rglob("*")) if path.is_file())


def _archived(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    inside = (path for path in sorted(folder.rglob("*.zip")) if not path.name.startswith("."))  # interrupted downloads
    for path in [folder] if folder.is_file() else inside:
        for entry in _entries(path):
            yield path, (entry,)
            if entry.endswith(".zip") and "__MACOSX/" not in entry:
                yield from ((path, (entry, inner)) for inner in _entries(path, entry))


def _entries(path: Path, *outer: str) -> Iterator[str]:
    where = ": ".join([str(path), *outer])
    try:
        with zipfile.ZipFile(_archive(path, *outer)) as archive:
            entries = archive.infolist()
    except BadRecordingError:
        raise
    except Exception as error:  # not documented either
        raise BadRecordingError(
            f"{where}: not a readable zip archive ({explain(error)}). Download it again."
        ) from error
    for entry in entries:
        # Harmless here, since nothing is unpacked, but a sign of a malicious archive.
        name = PureWindowsPath(entry.filename)  # recognises roots and parents of all systems
        if name.anchor or ".." in name.parts or stat.S_ISLNK(entry.external_attr >> 16):
            raise BadRecordingError(
                f"{where}: its entry '{entry.filename}' points out of the archive. Download it again from its "
                "publisher."
            )
        yield entry.filename


def _archive(path: Path, *outer: str) -> Path | IO[bytes]:
    """Return what to open as an archive: the file, or a copy of the archive inside it."""
    if not outer:
        return path
    state = path.stat()
    return _copy(path, *outer, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1)
def _copy(path: Path, name: str, *state: int) -> IO[bytes]:
    """Copy an archive inside an archive to a temporary file: it cannot be searched where it is, as it is compressed.

    Args:
        path: The outer archive.
        name: Name of the inner one.
        state: Size and time of the outer one; another is copied anew.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > _LARGEST_ARCHIVE:  # no more than the declared size is ever read
            raise BadRecordingError(f"{path}: {name} unpacks to more than {_LARGEST_ARCHIVE} bytes. Download it again.")
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed, and so deleted, with the last reference
        with archive.open(name) as inner:
            shutil.copyfileobj(inner, copy)
    return copy
