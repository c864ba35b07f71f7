"""Files of a folder: tables in it, in its subfolders and in zip archives, and what else is there."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.settings import DESCRIPTION_FILE

TEXT = (".csv", ".tsv", ".txt", ".dat")
_SILENT = (DESCRIPTION_FILE, ".gitkeep")  # belong to the folder itself


@dataclass(frozen=True)
class Place:
    """A file.

    Attributes:
        name: Its path inside the folder, with the name of the archive that it is in, if any.
        path: The file on the disk, or its archive.
        member: Its name in the archive; None if it is not in one.
    """

    name: str
    path: Path
    member: str | None = None

    @property
    def where(self) -> str:
        """The file for messages."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def plain(self) -> PurePosixPath:
        """Its path inside the folder, without ``.gz``."""
        name = PurePosixPath(self.name)
        return name.with_suffix("") if name.suffix.lower() == ".gz" else name

    @property
    def suffix(self) -> str:
        """The end of its name, which says what kind of table it is."""
        return self.plain.suffix.lower()

    @property
    def stem(self) -> str:
        """Its path inside the folder without ending: the default name of its recording."""
        return self.plain.with_suffix("").as_posix()

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file, uncompressed."""
        if self.member is None:
            with self.path.open("rb") as file:
                yield from self._uncompressed(file)
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            yield from self._uncompressed(cast(BinaryIO, file))

    def _uncompressed(self, file: BinaryIO) -> Iterator[BinaryIO]:
        if self.name.lower().endswith(".gz"):
            with gzip.open(file) as content:
                yield cast(BinaryIO, content)
        else:
            yield file


_BLANKS = re.compile(rb"[ \t]+")
_EDGES = re.compile(rb" (?=\r?\n)|(?<=\n) ")


class CountedFile(io.RawIOBase):
    """A file whose line breaks are counted while it is read.

    Args:
        file: The file.
        squeeze: Whether several blanks count as one, and those at the ends of lines as none.

    Attributes:
        lines: Line breaks so far.
    """

    def __init__(self, file: BinaryIO, squeeze: bool = False) -> None:
        super().__init__()
        self._file, self._squeeze = file, squeeze
        self._rest = b""  # blanks, after which there may be more
        self._begins = True
        self.lines = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes."""
        content = self._file.read(size)
        self.lines += content.count(b"\n")
        if self._squeeze:
            content = content.lstrip(b" \t") if self._begins else content
            joined, self._rest, self._begins = self._rest + content, b"", False
            kept = joined.rstrip(b" \t\r\n" if content else b" \t")
            joined, self._rest = kept, joined[len(kept) :] if content else b""
            content = _EDGES.sub(b"", _BLANKS.sub(b" ", joined))
            if not content and self._rest:
                return self.read(size)
        return content


@dataclass(frozen=True)
class PassedOver:
    """A file that is not read, and why."""

    name: str
    reason: str


def find_places(path: Path) -> list[Place | PassedOver]:
    """Find the tables at a path: a file, or all files of a folder in the order of their names.

    Raises:
        BadRecordingError: if there is no such file or folder.
    """
    if not path.exists():
        raise BadRecordingError(f"{path}: no such file or folder. Give the path: --params=recordings=PATH.")
    if path.is_dir():
        return list(_in_folder(path, path, {path.resolve()}))
    return list(_at(path, path.parent))


def _in_folder(folder: Path, root: Path, seen: set[Path]) -> Iterator[Place | PassedOver]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield PassedOver(folder.relative_to(root).as_posix(), f"a folder that cannot be read ({error.strerror})")
        return
    for path in paths:
        name = path.name
        if path.is_dir():
            if name == "__MACOSX":
                yield PassedOver(path.relative_to(root).as_posix(), "what macOS stores beside files")
            elif path.resolve() in seen:
                yield PassedOver(path.relative_to(root).as_posix(), "a link to a folder that is read already")
            else:
                seen.add(path.resolve())
                yield from _in_folder(path, root, seen)
        elif name not in _SILENT:
            yield from _at(path, root)


def _at(path: Path, root: Path) -> Iterator[Place | PassedOver]:
    name = path.relative_to(root).as_posix()
    if not path.is_file():
        yield PassedOver(name, "a broken link" if path.is_symlink() else "not a regular file")
    elif path.suffix.lower() == ".zip" and not path.name.startswith("."):
        try:
            with zipfile.ZipFile(path) as archive:
                members = sorted(one.filename for one in archive.infolist() if not one.is_dir())
        except (zipfile.BadZipFile, OSError) as error:
            yield PassedOver(name, f"not a readable zip archive ({error}); copy it again")
            return
        for member in members:
            yield _judged(Place(f"{name}/{member}", path, member))
    else:
        yield _judged(Place(name, path))


def _judged(place: Place) -> Place | PassedOver:
    parts = PurePosixPath(place.name).parts
    if not place.name.isprintable():  # also names in no known encoding
        return PassedOver(ascii(place.name), "a name that cannot be printed")
    if parts[-1].startswith(".") or "__MACOSX" in parts:
        return PassedOver(place.name, "a hidden file")
    if place.suffix not in (*TEXT, ".parquet"):
        return PassedOver(place.name, "neither CSV, text nor Parquet")
    return place
