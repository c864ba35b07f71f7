"""Tables as Parquet and plain values as JSON, each with a stamp."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contrastive_har.files.stamps import check_stamp, refuse_broken, stamp


def schema_metadata(kind: str, **entries: str) -> dict[bytes, bytes]:
    """Return file metadata that says what a file holds (``kind``) and in which version."""
    return {key.encode(): value.encode() for key, value in stamp(kind, **entries).items()}


def check_schema(path: Path, kind: str) -> dict[str, str]:
    """Return a Parquet file's metadata after checking that it holds ``kind`` in the current schema version.

    Raises:
        SchemaError: if it is unreadable, holds something else, or was written by another version.
    """
    with refuse_broken(path, "Parquet"), pq.ParquetFile(path) as file:
        stored = {**(file.schema_arrow.metadata or {}), **(file.metadata.metadata or {})}
        metadata = {key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"}
    check_stamp(path, metadata, kind)
    return metadata


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
    stamped = {**stamp(kind), "facts": facts}
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
