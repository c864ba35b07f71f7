"""The version stamp every stored file of the project carries, and the checks that read it back."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from contrastive_har.signals.fingerprints import fingerprint

SCHEMA_VERSION = "1"


class SchemaError(ValueError):
    """A stored file is not what its reader expects; the message names the file and the cure."""


def explain(error: Exception) -> str:
    """Return what went wrong on one line, short enough for a message, whatever a hostile file makes a library say."""
    if isinstance(error, ValidationError):
        text = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


@contextmanager
def refuse_broken(path: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a stored file is read into one error that names it.

    Files are damaged, or made to harm, in more ways than the libraries that read them promise errors for.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        SchemaError: for any error inside the block but a missing permission, which says enough.
    """
    try:
        yield
    except (SchemaError, PermissionError):
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise SchemaError(f"{path}: too large for the memory there is ({explain(error)}).") from error
    except Exception as error:
        raise SchemaError(f"{path}: not a readable {what} file ({explain(error)}). Delete it and run again.") from error


def schema_metadata(kind: str, **entries: str) -> dict[bytes, bytes]:
    """Return file metadata that says what a file holds (``kind``) and in which version."""
    stamped = {"kind": kind, "schema_version": SCHEMA_VERSION, **entries}
    return {key.encode(): value.encode() for key, value in stamped.items()}


def check_schema(path: Path, kind: str) -> dict[str, str]:
    """Return a Parquet file's metadata after checking that it holds ``kind`` in today's version.

    Raises:
        SchemaError: if it is unreadable, holds something else, or was written by another version.
    """
    with refuse_broken(path, "Parquet"), pq.ParquetFile(path) as file:
        stored = {**(file.schema_arrow.metadata or {}), **(file.metadata.metadata or {})}
        metadata = {key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"}
    check_stamp(path, metadata, kind)
    return metadata


def check_stamp(path: Path, stamp: Mapping[str, str], kind: str) -> None:
    """Check a file's stamp, wherever its format keeps it.

    Raises:
        SchemaError: if it says another kind or another version.
    """
    if stamp.get("kind") != kind:
        raise SchemaError(f"{path}: holds {stamp.get('kind', 'something else')!r}, not {kind!r}.")
    if stamp.get("schema_version") != SCHEMA_VERSION:
        raise SchemaError(
            f"{path}: schema version {stamp.get('schema_version')}, this release reads {SCHEMA_VERSION}. "
            "Run the pipeline again to rebuild it."
        )


def write_table(table: pd.DataFrame, path: Path, kind: str) -> None:
    """Write a table as Parquet with the stamp of ``kind``."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata({**arrow.schema.metadata, **schema_metadata(kind)}), path)


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of ``kind`` back.

    Raises:
        SchemaError: if the file is not a table of this kind and schema version.
    """
    check_schema(path, kind)
    with refuse_broken(path, "Parquet"):
        return pq.read_table(path).to_pandas()


def write_facts(facts: Mapping[str, Any], path: Path, kind: str) -> None:
    """Write plain values as JSON with the stamp of ``kind``."""
    stamped = {"kind": kind, "schema_version": SCHEMA_VERSION, "facts": facts}
    path.write_text(json.dumps(stamped, indent=2), encoding="utf-8")


def read_facts(path: Path, kind: str) -> dict[str, Any]:
    """Read plain values of ``kind`` back.

    Raises:
        SchemaError: if the file is not JSON of this kind and schema version.
    """
    with refuse_broken(path, "JSON"):
        stamped = json.loads(path.read_text(encoding="utf-8"))
        check_stamp(path, stamped, kind)
        return dict(stamped["facts"])


def write_tensors(tensors: Mapping[str, Tensor], path: Path, kind: str, **entries: str) -> None:
    """Write named tensors as safetensors with a stamp of ``kind``, further entries and a checksum in the header."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"kind": kind, "schema_version": SCHEMA_VERSION, **entries}
    save_file(copies, path, metadata={**header, "checksum": _checksum(header, copies)})


def read_tensors(path: Path, kind: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the header and the tensors of ``kind`` back; nothing in the file is executed.

    Raises:
        SchemaError: if the file is not of this kind and schema version, or has changed since it was written.
    """
    with refuse_broken(path, "safetensors"), safe_open(path, framework="pt") as file:
        header: dict[str, str] = file.metadata() or {}
        check_stamp(path, header, kind)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if header.pop("checksum", None) != _checksum(header, tensors):  # none at all is damage too
            raise SchemaError(f"{path}: its content does not have the checksum it was written with. Run again.")
        return header, tensors


def _checksum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    parts = [part for name in sorted(tensors) for part in (name, tensors[name].numpy())]
    return fingerprint(json.dumps(header, sort_keys=True), *parts)


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a hidden place to write to; what was written there is at ``path`` afterwards, whole or not at all."""
    staged = path.with_name(f".writing-{uuid.uuid4().hex}")
    try:
        yield staged
        sync(staged)
        staged.replace(path)
        sync(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
