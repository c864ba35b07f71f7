"""Text files with any delimiter as tables."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.places import CountedFile, Place
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, FileLayout, Timestamp
from contrastive_har.sources.own.tables import Block, Table, ahead, stacked
from contrastive_har.sources.own.times import are_local, are_numbers, to_seconds

NOT_A_NUMBER = ["", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None", "-"]
"""Missing numbers in text files."""

csv.field_size_limit(1 << 20)

_HEAD = 1 << 20  # bytes that are looked at before a file is read; no line can be longer
_TALLEST = 50  # lines of a cell, and blank lines, that are not looked into
_BLOCK = 2 << 20  # bytes of a block; Arrow holds up to 32 of them
_AHEAD = 12  # blocks that are parsed while others are looked at
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_BOMS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ZEROS = 0.1  # share of bytes, above which a text is not UTF-8
_LARGEST_EXACT = 2**53  # of whole numbers as 64-bit floating-point numbers


class TextTable(Table):
    """A text file with a header.

    Attributes:
        delimiter: Between columns.
        encoding: Of the text.
        lines: The first lines, from the header on.
        skipped: Lines before the header.
    """

    def __init__(self, place: Place, layout: FileLayout) -> None:
        super().__init__(place, layout)
        self.delimiter = layout.delimiter or ("\t" if place.suffix == ".tsv" else ",")
        with place.open() as file:
            head = file.read(_HEAD)
        if not head.strip(b"\0 \r\n\t"):
            raise BadRecordingError(f"{place.where}: the file is empty. Copy it again.")
        self.encoding = self._find_encoding(head)
        text = self._decode(head)
        lines = io.StringIO(text, newline="").readlines()
        if len(head) == _HEAD:
            lines = lines[:-1]  # cut in the middle
        if not lines:
            raise BadRecordingError(f"{place.where}: the first line is longer than 1 MB. This is not a table.")
        header = layout.skip_lines
        while header < len(lines) and not lines[header].strip():
            header += 1
        if header >= len(lines):
            raise BadRecordingError(f"{place.where}: no lines after skip_lines: {layout.skip_lines}. Correct it.")
        self._before = header if layout.header else header + 1  # lines before the first row
        self.first_line = self._before + 1
        self.skipped = header
        self.lines = lines[header:]
        rows = self._cells(lines[header : header + 200])
        names = list(layout.header) or [name.strip() for name in rows[0]]
        self.sample = rows if layout.header else rows[1:]
        # Some programs write the delimiter at the end of each row but not of the header.
        if self.sample and all(len(row) == len(names) + 1 and not row[-1].strip() for row in self.sample):
            names.append("")
        self.names = names

    def _cells(self, lines: Iterable[str]) -> list[list[str]]:
        return [row for row in self._rows(lines) if row]

    def _rows(self, lines: Iterable[str]) -> Any:
        """Read lines slowly; of a table whose columns blanks separate, several count as one."""
        end = self.layout.line_end
        if end:
            lines = (line.rstrip("\r\n").removesuffix(end) for line in lines)
        if self.delimiter != " ":
            return csv.reader(lines, delimiter=self.delimiter)
        return csv.reader((line.strip(" \t\r\n") for line in lines), delimiter=" ", skipinitialspace=True)

    def _find_encoding(self, head: bytes) -> str:
        for mark, name in _BOMS.items():  # a mark is right whatever is declared
            if head.startswith(mark):
                return name
        if self.layout.encoding:
            return self.layout.encoding
        text = head.rstrip(b"\0")
        if text.count(0) > len(text) * _ZEROS:
            guess = "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
            raise BadRecordingError(
                f"{self.place.where}: not UTF-8; every other byte is zero. Write 'encoding: {guess}' in "
                f"{DESCRIPTION_FILE}, or save the file as UTF-8."
            )
        return "utf-8"

    def _decode(self, head: bytes) -> str:
        try:
            return codecs.getincrementaldecoder(self.encoding)().decode(head)
        except UnicodeDecodeError as error:
            row = head[: error.start].count(b"\n") + 1
            raise BadRecordingError(
                f"{self.place.where}, row {row}: not {self.encoding} text. Write 'encoding: latin-1' in "
                f"{DESCRIPTION_FILE}, or what else it is, or save the file as UTF-8."
            ) from error

    def blocks(self, numbers: Sequence[str], texts: Sequence[str], stamps: Timestamp | None) -> Iterator[Block]:
        """Read some columns, a block of rows at a time."""
        time = stamps.column if stamps is not None else None
        types: dict[str, pa.DataType] = {name: pa.float64() for name in numbers}
        types |= {name: pa.dictionary(pa.int32(), pa.string()) for name in texts}
        if time is not None:
            types[time] = pa.string() if stamps is not None and stamps.format else self._type_of_times(time)
        end = self.names[-1] if self.layout.line_end and self.names[-1] in types else None
        if end is not None:
            types[end] = pa.string()
        # Columns are told apart by their places: one without a name is not read.
        names = [name or f"\0{index}" for index, name in enumerate(self.names)]
        first = 0
        try:
            with (
                self.place.open() as file,
                pc.open_csv(
                    pa.PythonFile(counted := CountedFile(file, self.delimiter == " "), mode="r"),
                    read_options=pc.ReadOptions(
                        column_names=names,
                        skip_rows=self._before,
                        block_size=_BLOCK,
                        encoding=self.encoding.removesuffix("-sig"),
                    ),
                    parse_options=pc.ParseOptions(delimiter=self.delimiter),
                    convert_options=pc.ConvertOptions(
                        column_types=types,
                        include_columns=list(types),
                        null_values=NOT_A_NUMBER,
                        decimal_point=self.layout.decimal,
                    ),
                ) as reader,
            ):
                for batch in ahead(reader, _AHEAD):
                    if len(batch):
                        yield self._block(batch, first, numbers, texts, stamps, end)
                    first += len(batch)
            if counted.lines - first - self._before > _TALLEST:
                self._refuse_open_quote()
        except StopIteration:  # a header and nothing else
            return
        except BadRecordingError:
            raise
        except (pa.ArrowInvalid, ValueError) as error:
            if "Empty CSV file" in str(error):
                return
            raise self._problem(numbers, types.get(time or ""), time, error) from error
        except Exception as error:  # damaged archives cause errors that are not documented
            raise BadRecordingError(f"{self.place.where}: cannot be read ({explain(error)}). Copy it again.") from error

    def _type_of_times(self, column: str) -> pa.DataType:
        index = self.names.index(column)
        cells = [row[index].strip() for row in self.sample if index < len(row) and row[index].strip()]
        if not are_numbers(cells[:1], self.layout.decimal):
            return pa.string()
        is_whole = cells[0].lstrip("+-").isdigit() and abs(int(cells[0])) > _LARGEST_EXACT
        return pa.int64() if is_whole else pa.float64()

    def _block(
        self,
        batch: pa.RecordBatch,
        first: int,
        numbers: Sequence[str],
        texts: Sequence[str],
        stamps: Timestamp | None,
        end: str | None,
    ) -> Block:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if end is not None:
            columns[end] = self._without_end(columns[end], end in numbers)
        seconds, are_dates = None, False
        if stamps is not None:
            texts_of_times = columns[stamps.column].to_pandas()
            are_dates = are_local(texts_of_times)
            seconds = to_seconds(texts_of_times, stamps, lambda row: self._at(first + row))
        return Block(
            first=first,
            numbers=stacked([columns[name].to_numpy(zero_copy_only=False) for name in numbers], len(batch)),
            texts={name: _categories(columns[name]) for name in texts},
            seconds=seconds,
            are_local=are_dates,
        )

    def _without_end(self, column: pa.Array, is_number: bool) -> pa.Array:
        cut = column.to_pandas().str.removesuffix(self.layout.line_end).str.strip()
        if not is_number:
            return pa.array(cut, pa.string()).dictionary_encode()
        cut = cut.where(~cut.isin(NOT_A_NUMBER))
        return pa.array(cut.str.replace(self.layout.decimal, ".").astype(float), pa.float64())

    def _at(self, row: int) -> str:
        return f"{self.place.where}, row {self.line(row)}"

    def line(self, row: int) -> int:
        """Return the number of a row as an editor shows it: the first line of the file is 1."""
        for index, (number, _) in enumerate(self._records()):
            if index == row:
                return number
        return row + self.first_line

    def lines_of_rows(self, count: int) -> list[int]:
        """Return the numbers of the first rows as an editor shows them."""
        return [line for line, _ in islice(self._records(), count)]

    def _refuse_open_quote(self) -> None:
        """Refuse a quote that is not closed: all that follows would be one cell."""
        before = self._before
        for line, _ in self._records():
            if line - before > _TALLEST:
                raise BadRecordingError(
                    f"{self.place.where}, row {before + 1}: a quote that is not closed. Close it, or remove it."
                )
            before = line

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Read the rows slowly, for messages: the number of the line of each, and its cells."""
        with self.place.open() as file, io.TextIOWrapper(file, self.encoding, errors="replace", newline="") as text:
            for _ in range(self._before):
                text.readline()
            reader = self._rows(text)
            try:
                for row in reader:
                    if row:
                        yield self._before + reader.line_num, row
            except csv.Error as error:
                where = f"{self.place.where}, row {self._before + reader.line_num}"
                raise BadRecordingError(f"{where}: a cell of more than 1 MB. This is no sample; correct it.") from error

    def _problem(
        self, numbers: Sequence[str], type_of_times: pa.DataType | None, time: str | None, error: Exception
    ) -> BadRecordingError:
        """Find what is wrong with the file, row by row."""
        are_times_numbers = time is not None and type_of_times != pa.string()
        wanted = [*numbers, *([time] if time is not None and are_times_numbers else [])]
        places = {name: self.names.index(name) for name in wanted}
        try:
            for line, row in self._records():
                if len(row) != len(self.names):
                    return BadRecordingError(
                        f"{self.place.where}, row {line}: {len(row)} cells where the header has {len(self.names)}. "
                        "Correct the row."
                    )
                for name, index in places.items():
                    cell = row[index].strip()
                    if cell in NOT_A_NUMBER or are_numbers([cell], self.layout.decimal):
                        continue
                    if name == time:
                        return BadRecordingError(
                            f"{self.place.where}, row {line}: '{cell[:100]}' is not a time like those before. "
                            "Correct it."
                        )
                    if cell:
                        return BadRecordingError(
                            f"{self.place.where}, row {line}: {cell[:100]!r} in column '{name}' is not a number. "
                            f"{self._cure_of(cell, index == len(row) - 1)}"
                        )
        except Exception as other:  # noqa: BLE001 - damaged archives cause errors that are not documented
            error = other
        return BadRecordingError(f"{self.place.where}: cannot be read ({explain(error)}). Correct the file.")

    def _cure_of(self, cell: str, is_last: bool) -> str:
        """Return what makes a number of a cell."""
        if self.layout.decimal == "." and are_numbers([cell], ","):
            return f"If it is one, write 'decimal: \",\"' in {DESCRIPTION_FILE}."
        if is_last and cell.isprintable() and are_numbers([cell[:-1]], self.layout.decimal):
            return f"If every row ends so, write 'line_end: \"{cell[-1]}\"' in {DESCRIPTION_FILE}."
        return "Correct it."


def _categories(column: pa.Array) -> pd.Categorical:
    """Return names as stripped text, '' if missing; each distinct one is looked at once."""
    names = [str(name).strip() for name in column.dictionary.to_pylist()]
    codes = column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    categories, places = np.unique([*names, ""], return_inverse=True)
    return pd.Categorical.from_codes(places[codes].astype(np.int32), categories.astype(object))
