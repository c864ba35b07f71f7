"""Parquet files as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.settings import FileLayout, Timestamp
from contrastive_har.sources.own.tables import Block, Table, stacked
from contrastive_har.sources.own.times import are_local, to_seconds
from contrastive_har.sources.tables import numbers as as_numbers
from contrastive_har.sources.tables import refuse_nameless_times


class ParquetTable(Table):
    """A Parquet file; an index that pandas has written, such as time stamps, is a column."""

    def __init__(self, place: Place, layout: FileLayout) -> None:
        super().__init__(place, layout)
        try:
            with place.open() as file, pq.ParquetFile(file) as content:
                schema = content.schema_arrow
        except Exception as error:  # the errors of parsers are not documented
            raise BadRecordingError(f"{place.where}: cannot be read ({explain(error)}). Copy it again.") from error
        refuse_nameless_times(schema, Path(place.where), layout.timestamp.column)
        self.names = [str(name) for name in schema.names]

    def blocks(self, numbers: Sequence[str], texts: Sequence[str], stamps: Timestamp | None) -> Iterator[Block]:
        """Read some columns, a block of rows at a time."""
        wanted = [*numbers, *texts, *([stamps.column] if stamps is not None else [])]
        first = 0
        try:
            with self.place.open() as file, pq.ParquetFile(file) as content:
                for batch in content.iter_batches(100_000, columns=list(dict.fromkeys(wanted))):
                    frame = batch.to_pandas(ignore_metadata=True)
                    frame.index = pd.RangeIndex(first + 1, first + 1 + len(frame))
                    yield self._block(frame, first, numbers, texts, stamps)
                    first += len(frame)
        except BadRecordingError:
            raise
        except Exception as error:  # the errors of parsers are not documented
            raise BadRecordingError(f"{self.place.where}: cannot be read ({explain(error)}). Copy it again.") from error

    def _block(
        self, frame: pd.DataFrame, first: int, numbers: Sequence[str], texts: Sequence[str], stamps: Timestamp | None
    ) -> Block:
        where = self.place.where
        seconds = None
        if stamps is not None:
            seconds = to_seconds(frame[stamps.column], stamps, lambda row: f"{where}, row {first + row + 1}")
        return Block(
            first=first,
            numbers=stacked([as_numbers(frame[name], name, where) for name in numbers], len(frame)),
            texts={name: pd.Categorical(_text(frame[name])) for name in texts},
            seconds=seconds,
            are_local=stamps is not None and are_local(frame[stamps.column]),
        )

    def line(self, row: int) -> int:
        """Return the number of a row, the first of which is 1."""
        return row + 1


def _text(column: pd.Series) -> pd.Series:
    """Return names as stripped text, '' if missing; 1.0, which pandas makes of 1 beside empty cells, becomes '1'."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").str.strip().fillna("").astype(object)
