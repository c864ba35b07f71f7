"""Tables: parsing of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError


def refuse_nameless_times(schema: pa.Schema, path: Path, column: str = "timestamp") -> None:
    """Refuse a Parquet file whose time stamps have no column name and would be ignored.

    Raises:
        BadRecordingError: if pandas has written a table whose index is times without a name.
    """
    index = schema.get_field_index("__index_level_0__")  # pandas' name for an index without one
    if index >= 0 and _holds_times(schema.field(index).type) and column not in schema.names:
        raise BadRecordingError(
            f"{path}: times are its index, which has no name. Name it: frame.rename_axis({column!r}).to_parquet(...); "
            "if they are none, leave it out: frame.reset_index(drop=True)."
        )


def _holds_times(kind: pa.DataType) -> bool:
    """Return whether a nameless index may hold times: pandas does not store the plain count of rows."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind))


def numbers(column: pd.Series, name: str, path: Path | str) -> NDArray[np.float64]:
    """Return a column, indexed by the file's row numbers, as numbers (rows,), NaN if missing.

    Raises:
        BadRecordingError: if a value is not a number.
    """
    found = pd.to_numeric(column, errors="coerce")
    bad = found.isna() & column.notna() & (column.astype(str).str.lower() != "nan")
    if bad.any():
        row = column.index[bad][0]
        raise BadRecordingError(f"{path}, row {row}: '{column[row]}' in column '{name}' is not a number. Correct it.")
    return np.asarray(found, np.float64)
