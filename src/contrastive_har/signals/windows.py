"""Windows: equally long cuts of recordings, each inside one recording, one activity and no gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, Json, PositiveInt

from contrastive_har.signals.engines import LOCAL, EngineSettings
from contrastive_har.signals.recordings import (
    UNLABELLED,
    DatasetDescription,
    Recording,
    Recordings,
    refuse_gaps,
    refuse_other_columns,
)
from contrastive_har.signals.schema import check_schema, refuse_broken, schema_metadata

KIND = "windows"


class WindowSettings(BaseModel):
    """How recordings are cut.

    Attributes:
        length: Length of a window, in ``unit``.
        stride: Step from one window to the next, in ``unit``; half the length gives 50 % overlap.
        unit: ``samples`` or ``seconds``.
        keep_unlabelled: Also cut stretches without a label; they can serve pre-training only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: float = Field(gt=0)
    stride: float = Field(gt=0)
    unit: Literal["samples", "seconds"] = "samples"
    keep_unlabelled: bool = False

    def in_samples(self, sampling_rate_hz: float) -> tuple[int, int]:
        """Return (length, stride) in samples.

        Raises:
            ValueError: if either is not a whole number of samples of at least one.
        """
        scale = sampling_rate_hz if self.unit == "seconds" else 1.0
        counts = []
        for name, value in (("length", self.length), ("stride", self.stride)):
            samples = value * scale
            if round(samples) < 1 or abs(samples - round(samples)) > 1e-6:
                raise ValueError(
                    f"windows.{name} = {value:g} {self.unit} is {samples:g} samples at {sampling_rate_hz:g} Hz; "
                    "choose a whole number of samples."
                )
            counts.append(round(samples))
        return counts[0], counts[1]


@dataclass(frozen=True)
class WindowBatch:
    """One recording's windows: start samples (windows,), activities (windows,), signals (windows, time, channels)."""

    subject: str
    recording: str
    start: NDArray[np.int64]
    activity: NDArray[np.int16]
    signals: NDArray[np.float32]


@dataclass(frozen=True)
class WindowStream:
    """Windows on their way to storage, a recording at a time."""

    description: DatasetDescription
    length: int
    stride: int
    batches: Callable[[], Iterator[WindowBatch]]


@dataclass(frozen=True)
class Windows:
    """All windows of a data set.

    Attributes:
        description: The data set they come from.
        length: Samples in a window.
        stride: Samples from one window to the next.
        table: One row a window: window (0, 1, ...), subject, recording, start (sample), activity (code).
        signals: float32 (windows, time, channels), rows in the order of ``table``.
    """

    description: DatasetDescription
    length: int
    stride: int
    table: pd.DataFrame
    signals: NDArray[np.float32]

    def classes(self) -> NDArray[np.int64]:
        """Return each window's class index (windows,): its activity's place in ``recognised``, or -1."""
        codes: NDArray[np.int16] = self.table["activity"].to_numpy()
        index: NDArray[np.int64] = np.full(max(codes.max(initial=0), *self.description.recognised) + 2, UNLABELLED)
        index[list(self.description.recognised)] = np.arange(len(self.description.recognised))
        classes: NDArray[np.int64] = index[codes]
        return classes


def cut_windows(recordings: Recordings, settings: WindowSettings, engine: EngineSettings = LOCAL) -> WindowStream:
    """Plan the windows of all recordings; nothing is read until the stream is consumed."""
    length, stride = settings.in_samples(recordings.description.sampling_rate_hz)
    kept = list(recordings.description.recognised) + ([UNLABELLED] if settings.keep_unlabelled else [])
    cut = partial(_cut_one, length=length, stride=stride, activities=kept)
    return WindowStream(recordings.description, length, stride, lambda: engine.map(cut, recordings))


def _cut_one(recording: Recording, length: int, stride: int, activities: list[int]) -> list[WindowBatch]:
    return [cut_recording(recording, length, stride, activities)]


def cut_recording(recording: Recording, length: int, stride: int, activities: list[int]) -> WindowBatch:
    """Cut one recording; each run of one activity without a gap starts its own grid of windows.

    Args:
        recording: The recording.
        length: Samples in a window.
        stride: Samples from one window's start to the next within a run.
        activities: Codes of the runs to cut.
    """
    breaks = (np.diff(recording.sample) != 1) | (np.diff(recording.activity) != 0)
    edges = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(recording.sample)]])
    starts = np.concatenate(
        [
            np.arange(begin, end - length + 1, stride)
            for begin, end in pairwise(edges)
            if begin < end and recording.activity[begin] in activities
        ]
        or [np.empty(0, np.int64)]
    ).astype(np.int64)
    if len(recording.samples) < length:
        signals = np.empty((0, length, recording.samples.shape[1]), np.float32)
    else:
        views = np.lib.stride_tricks.sliding_window_view(recording.samples, length, axis=0)
        signals = np.ascontiguousarray(views[starts].transpose(0, 2, 1))
    return WindowBatch(recording.subject, recording.name, recording.sample[starts], recording.activity[starts], signals)


def write_windows(stream: WindowStream, path: Path) -> None:
    """Stream windows into one Parquet file, a row group a recording, in the memory of one recording's windows.

    Raises:
        ValueError: if no window fits into any run.
    """
    schema = _arrow_schema(stream.description, stream.length, stream.stride)
    count = 0
    # Floats of sensors do not compress well, and nobody looks for a window by its largest sample.
    with pq.ParquetWriter(
        path, schema, compression="none", use_dictionary=["subject", "recording"], write_statistics=False
    ) as writer:
        for batch in stream.batches():
            rows = len(batch.start)
            if rows == 0:
                continue
            writer.write_table(
                pa.table(
                    [
                        pa.array(np.arange(count, count + rows), pa.int64()),
                        pa.repeat(batch.subject, rows),
                        pa.repeat(batch.recording, rows),
                        pa.array(batch.start, pa.int64()),
                        pa.array(batch.activity, pa.int16()),
                        pa.FixedSizeListArray.from_arrays(
                            pa.array(batch.signals.reshape(-1)), type=schema.field("signal").type
                        ),
                    ],
                    schema=schema,
                )
            )
            count += rows
    if count == 0:
        raise ValueError(
            f"No window of {stream.length} samples fits into any activity of '{stream.description.name}'. "
            "Shorten windows.length."
        )


def read_windows(path: Path) -> Windows:
    """Read a windows file into one array, in the memory of that array and one recording's windows.

    Raises:
        SchemaError: if the file is not a windows file of this schema version, is damaged, or holds what no recording
            may hold.
    """
    with refuse_broken(path, KIND):
        header = _Header.model_validate(check_schema(path, KIND))
        description, length = header.description, header.length
        with pq.ParquetFile(path, memory_map=True) as file:
            refuse_other_columns(file.schema_arrow, _arrow_schema(description, length, header.stride))
            signals = np.empty((file.metadata.num_rows, length, len(description.channels)), np.float32)
            places = []
            filled = 0
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                refuse_gaps(rows)
                values = rows["signal"].combine_chunks().flatten().to_numpy()
                if not np.isfinite(values).all():
                    raise ValueError(f"samples of recording '{rows['recording'][0]}' are not finite")
                signals[filled : filled + len(rows)] = values.reshape(-1, *signals.shape[1:])
                places.append(rows.drop_columns(["signal"]))
                filled += len(rows)
        table = pa.concat_tables(places).to_pandas()
        if filled != len(signals) or not table["window"].equals(pd.Series(range(filled))):
            raise ValueError(f"{filled} windows, not numbered from 0 to {len(signals) - 1}")
        if unknown := set(table["activity"].unique()) - {UNLABELLED, *description.activities}:
            raise ValueError(f"unknown activities {sorted(unknown)}")
        return Windows(description, length, header.stride, table, signals)


class _Header(BaseModel):
    """What a windows file says of itself."""

    description: Json[DatasetDescription]
    length: PositiveInt
    stride: PositiveInt


def _arrow_schema(description: DatasetDescription, length: int, stride: int) -> pa.Schema:
    values = length * len(description.channels)
    return pa.schema(
        [
            ("window", pa.int64()),
            ("subject", pa.string()),
            ("recording", pa.string()),
            ("start", pa.int64()),
            ("activity", pa.int16()),
            # Values that can't be missing are read twice as fast.
            pa.field("signal", pa.list_(pa.field("element", pa.float32(), nullable=False), values), nullable=False),
        ],
        metadata=schema_metadata(
            KIND,
            description=description.model_dump_json(),
            length=str(length),
            stride=str(stride),
        ),
    )
