"""Tables as Parquet and plain values as JSON, each with a stamp."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.files.stamps import SchemaError, check_stamp, refuse_broken, stamp

_CHECKSUM = "checksum"


def schema_metadata(kind: str, **entries: str) -> dict[bytes, bytes]:
    """Return file metadata that says what a file holds (``kind``) and in which version."""
    return {key.encode(): value.encode() for key, value in stamp(kind, **entries).items()}


def check_schema(path: Path, kind: str) -> dict[str, str]:
    """Return a Parquet file's metadata after checking that it holds ``kind`` in the current schema version.

    Raises:
        SchemaError: if it is unreadable or damaged, holds something else, or was written by another version.
    """
    with refuse_broken(path, "Parquet"), open_parquet(path) as file:
        schema, stored = file.schema_arrow, file.metadata.metadata or {}
        metadata = {key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"}
        check_stamp(path, metadata, kind)
        copied = (schema.metadata or {}).items() <= stored.items()
        if not copied or metadata.pop(_CHECKSUM, None) != _checksum(schema, metadata):
            raise SchemaError(
                f"{path}: its header does not have the checksum it was written with. Delete it and run again."
            )
    return metadata


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[tuple[pq.ParquetWriter, dict[str, str]]]:
    """Yield a writer of a Parquet file with a stamp in its schema, and a mapping for entries known at the end only.

    Every page of values has a checksum, and so have the columns with the metadata.

    Args:
        path: The file.
        schema: Its columns, with the metadata of :func:`schema_metadata`.
        **options: Of the writer.
    """
    entries: dict[str, str] = {}
    with pq.ParquetWriter(path, schema, write_page_checksum=True, **options) as writer:
        yield writer, entries
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        writer.add_key_value_metadata({**entries, _CHECKSUM: _checksum(schema, {**metadata, **entries})})


def open_parquet(path: Path, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file whose pages are compared with their checksums when they are read."""
    return pq.ParquetFile(path, page_checksum_verification=True, **options)


def _checksum(schema: pa.Schema, metadata: Mapping[str, str]) -> str:
    columns = [[field.name, str(field.type), field.nullable] for field in schema]
    return fingerprint(json.dumps([columns, metadata], sort_keys=True))


def write_table(table: pd.DataFrame, path: Path, kind: str) -> None:
    """Write a table as Parquet with the stamp of ``kind``."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    stamped = arrow.replace_schema_metadata({**arrow.schema.metadata, **schema_metadata(kind)})
    with parquet_writer(path, stamped.schema) as (writer, _):
        writer.write_table(stamped)


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of ``kind`` back.

    Raises:
        SchemaError: if the file is not a table of this kind and schema version.
    """
    check_schema(path, kind)
    with refuse_broken(path, "Parquet"), open_parquet(path) as file:
        return file.read().to_pandas()


def write_facts(facts: Mapping[str, Any], path: Path, kind: str) -> None:
    """Write plain values as JSON with the stamp of ``kind`` and a checksum."""
    written = json.loads(json.dumps(facts))  # keys are texts now
    stamped = {**stamp(kind), "facts": written}
    path.write_text(json.dumps({**stamped, _CHECKSUM: _checksum_of(stamped)}, indent=2), encoding="utf-8")


def read_facts(path: Path, kind: str) -> dict[str, Any]:
    """Read plain values of ``kind`` back.

    Raises:
        SchemaError: if the file is not JSON of this kind and schema version, or has changed since it was written.
    """
    with refuse_broken(path, "JSON"):
        stamped = json.loads(path.read_text(encoding="utf-8"))
        checksum = stamped.pop(_CHECKSUM, None)
        if checksum is None:  # of an earlier release
            check_stamp(path, stamped, kind)
        if checksum != _checksum_of(stamped):
            raise SchemaError(f"{path}: not the checksum it was written with, so damaged. Delete it and run again.")
        check_stamp(path, stamped, kind)
        return dict(stamped["facts"])


def _checksum_of(stamped: Mapping[str, Any]) -> str:
    return fingerprint(json.dumps(stamped, sort_keys=True))
