"""Unlabelled recordings: your own CSV or Parquet files of any length, read in pieces.

Columns: the channels of the model, by name; optionally ``timestamp`` (seconds, or dates and times) and ``recording``
(default: the file's name). A ``dataset.yml`` beside the files may give ``sampling_rate_hz``, which files without time
stamps need, and the units of ``channels``, which are then compared with the model's. Other columns are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError, Piece
from contrastive_har.signals.sensors import Channel, channels_from_modalities
from contrastive_har.sources.tables import (
    DESCRIPTION_FILE,
    NOT_A_NUMBER,
    as_text,
    default_name,
    numbers,
    read_description_file,
    refuse_nameless_times,
    seconds,
)


class _Description(BaseModel):
    """The part of ``dataset.yml`` that unlabelled recordings need."""

    model_config = ConfigDict(extra="ignore")

    sampling_rate_hz: float | None = Field(default=None, gt=0)
    channels: tuple[Channel, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _expand_modalities(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("modalities"), dict):
            return {**values, "channels": channels_from_modalities(values["modalities"])}
        return values


def columns_of(path: Path) -> list[str]:
    """Return the columns of a file, or those that all files of a folder have.

    Raises:
        BadRecordingError: if there is no file, or one cannot be read.
    """
    columns: list[str] | None = None
    for file in _files(path):
        try:
            found = list(_HEADERS[file.suffix.lower()](file))
        except Exception as error:  # the errors of parsers are not documented
            raise BadRecordingError(f"{file}: cannot be read ({explain(error)}). Copy it again.") from error
        columns = found if columns is None else [name for name in columns if name in found]
    return columns or []


def open_new_recordings(path: Path, channels: Sequence[Channel], rows: int) -> Iterator[Piece]:
    """Read a file, or all files of a folder in the order of their names, at most ``rows`` samples at a time.

    Raises:
        BadRecordingError: if there is no file, a channel is missing or in another unit, the rate is unknown, or a
            value is not a number; the message names file, row and cure.
    """
    files = _files(path)
    folder = path.parent if path.is_file() else path
    description = _describe(folder, channels)
    for file in files:
        yield from _read(
            file, default_name(file, folder), [channel.name for channel in channels], description.sampling_rate_hz, rows
        )


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise BadRecordingError(f"{path}: no such file or folder. Give the path: --params=recordings=PATH.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in _READERS)
    if not files or files[0].suffix.lower() not in _READERS:
        raise BadRecordingError(f"{path}: no CSV or Parquet file. Put your recordings there; see docs/use.md.")
    return files


def _describe(folder: Path, channels: Sequence[Channel]) -> _Description:
    path = folder / DESCRIPTION_FILE
    if not path.exists():
        return _Description()
    try:
        description = _Description.model_validate(read_description_file(folder))
    except ValidationError as error:
        raise BadRecordingError(f"{path}: {explain(error)}. See docs/use.md.") from error
    units = {channel.name: channel.unit for channel in description.channels}
    for channel in channels:
        if units.get(channel.name, channel.unit) != channel.unit:
            raise BadRecordingError(
                f"{path}: channel '{channel.name}' is in {units[channel.name]}, the model expects {channel.unit}. "
                "Convert the recordings."
            )
    return description


def _read(file: Path, name: str, channels: list[str], rate: float | None, rows: int) -> Iterator[Piece]:
    sample_counts: dict[str, int] = {}  # samples so far, by recording
    previous: str | None = None
    for frame in _frames(file, [*channels, "timestamp", "recording"], rows):
        if missing := [channel for channel in channels if channel not in frame.columns]:
            raise BadRecordingError(
                f"{file}: no column {', '.join(map(repr, missing))}. The model needs {', '.join(channels)}."
            )
        if rate is None and "timestamp" not in frame.columns:
            raise BadRecordingError(
                f"{file}: no column 'timestamp', and no {DESCRIPTION_FILE} beside it with sampling_rate_hz, so its "
                "sampling rate is unknown. Add either."
            )
        names = as_text(frame["recording"]) if "recording" in frame.columns else pd.Series(name, frame.index)
        for _, part in frame.groupby((names != names.shift()).cumsum(), sort=False):
            recording = str(names[part.index[0]])
            samples = np.column_stack([numbers(part[channel], channel, file) for channel in channels])
            if not np.isfinite(samples).all():
                row, column = np.argwhere(~np.isfinite(samples))[0]
                raise BadRecordingError(
                    f"{file}, row {part.index[row]}: channel '{channels[column]}' is {samples[row, column]}. "
                    "Interpolate or cut out the samples that are not finite."
                )
            if recording != previous and recording in sample_counts:
                raise BadRecordingError(
                    f"{file}, row {part.index[0]}: recording '{recording}' continues after others. Sort the rows by "
                    "recording, then by time."
                )
            previous = recording
            before = sample_counts.get(recording, 0)
            sample_counts[recording] = before + len(part)
            if rate is None or "timestamp" in part.columns:
                times = seconds(part["timestamp"], file)
            else:
                times = np.arange(before, before + len(part)) / rate
            yield Piece(recording, file, int(part.index[0]), times, samples, rate)
    if not sample_counts:
        raise BadRecordingError(f"{file}: no samples. The file is empty or truncated; copy it again.")


def _frames(file: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    """Read some columns in pieces; the index is the row number in the file."""
    try:
        yield from _READERS[file.suffix.lower()](file, columns, rows)
    except pd.errors.EmptyDataError:
        raise BadRecordingError(f"{file}: the file is empty. Copy it again.") from None
    except BadRecordingError:
        raise
    except Exception as error:  # the errors of parsers are not documented
        raise BadRecordingError(f"{file}: cannot be read ({explain(error)}). Copy it again.") from error


def _read_csv(file: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(
        file,
        chunksize=rows,
        usecols=lambda name: name in columns,
        dtype={"recording": str},
        keep_default_na=False,
        na_values={name: NOT_A_NUMBER for name in columns if name != "recording"},
    ) as chunks:
        for chunk in chunks:
            chunk.index += 2
            yield chunk


def _read_parquet(file: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(file) as content:
        present = [name for name in content.schema_arrow.names if name in columns]
        refuse_nameless_times(content.schema_arrow, file)
        first = 1
        for batch in content.iter_batches(rows, columns=present):
            frame = batch.to_pandas(ignore_metadata=True)  # an index of time stamps stays a column
            frame.index = pd.RangeIndex(first, first + len(frame))
            first += len(frame)
            yield frame


_READERS = {".csv": _read_csv, ".parquet": _read_parquet}
_HEADERS: dict[str, Callable[[Path], Iterable[str]]] = {
    ".csv": lambda file: pd.read_csv(file, nrows=0).columns,
    ".parquet": lambda file: pq.read_schema(file).names,
}
