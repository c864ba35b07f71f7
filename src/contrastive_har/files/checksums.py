"""Checksums of whole files, each in a file beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from contrastive_har.files.hashes import State, sha256_of, state_of
from contrastive_har.files.stamps import SchemaError

CHECKSUM = ".sha256"
"""Name of the file with a checksum, in the form that ``sha256sum --check`` reads."""


def write_checksum(path: Path) -> Path:
    """Write the checksum of a file beside it; return the file with the checksum."""
    beside = path.with_name(CHECKSUM)
    beside.write_text(_line(path), encoding="utf-8")
    return beside


def read_checksum(path: Path) -> str:
    """Return the checksum that a file was written with, of 64 digits; empty if there is none beside it."""
    try:
        return path.with_name(CHECKSUM).read_text(encoding="utf-8").partition(" ")[0]
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
        return ""


def is_whole(path: Path) -> bool:
    """Return whether a file has the checksum beside it; a process reads the same state of a file once."""
    beside = path.with_name(CHECKSUM)
    try:
        return _is_whole(path, state_of(path), state_of(beside))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # also one that is being removed
        return False


def require_whole(path: Path) -> None:
    """Check a file's content before it is read.

    Raises:
        SchemaError: if it is not what was written, or has no checksum.
    """
    if not is_whole(path):
        raise SchemaError(
            f"{path}: its content does not have the checksum it was written with, in {CHECKSUM} beside it. Delete this "
            "version and run again with --params=resume=true."
        )


@cache
def _is_whole(path: Path, state: State, beside: State) -> bool:
    return path.with_name(CHECKSUM).read_bytes() == _line(path).encode()


def _line(path: Path) -> str:
    return f"{sha256_of(path)}  {path.name}\n"
