"""The stamp that every stored file carries, and the checks that read it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import ValidationError

SCHEMA_VERSION = "3"


class SchemaError(ValueError):
    """A stored file is not what its reader expects; the message names the file and the cure.

    Attributes:
        of_other_release: Whether another release has written it.
    """

    of_other_release = False


def explain(error: Exception) -> str:
    """Return the text of an error on one line, cut to 500 characters.

    Malicious files can cause error texts that are long, that control a terminal, or that raise errors themselves.
    """
    try:
        if isinstance(error, ValidationError):
            text = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        else:
            text = f"{type(error).__name__}: {error}"
    except ValueError:  # of a number with thousands of digits
        text = type(error).__name__
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())[:500]


@contextmanager
def refuse_broken(path: Path, what: str) -> Iterator[None]:
    """Turn every error raised while a stored file is read into one that names the file.

    Damaged and malicious files cause more kinds of errors than the reading libraries document.

    Args:
        path: The file.
        what: Its expected format, for the message.

    Raises:
        SchemaError: for any error inside the block except a missing permission, which is raised as it is.
    """
    try:
        yield
    except (SchemaError, PermissionError):
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise SchemaError(f"{path}: too large for the available memory ({explain(error)}).") from error
    except Exception as error:
        raise SchemaError(f"{path}: not a readable {what} file ({explain(error)}). Delete it and run again.") from error


def check_stamp(path: Path, stamp: Mapping[str, str], kind: str) -> None:
    """Check a file's stamp.

    Raises:
        SchemaError: if the kind or the schema version is another one.
    """
    if stamp.get("kind") != kind:
        raise SchemaError(f"{path}: holds {stamp.get('kind', 'something else')!r}, not {kind!r}.")
    if stamp.get("schema_version") != SCHEMA_VERSION:
        error = SchemaError(
            f"{path}: schema version {stamp.get('schema_version')}, this release reads {SCHEMA_VERSION}. "
            "Run the pipeline again to rebuild it."
        )
        error.of_other_release = True
        raise error


def stamp(kind: str, **entries: str) -> dict[str, str]:
    """Return the stamp of a file: what it holds, the schema version, and further entries."""
    return {"kind": kind, "schema_version": SCHEMA_VERSION, **entries}
