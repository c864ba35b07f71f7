"""Windows: segments of recordings of equal length, and the Parquet file they are stored in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, Json, PositiveInt

from contrastive_har.files.large_arrays import allocate
from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tables import check_schema, open_parquet, parquet_writer, schema_metadata
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import refuse_gaps, refuse_other_columns
from contrastive_har.signals.sensors import Channel, Layout

KIND = "windows"


@dataclass(frozen=True)
class WindowBatch:
    """One recording's windows.

    Attributes:
        subject: Subject who wore the sensors.
        recording: Name of the recording.
        start: Position of the first sample of each window on the recording's clock, int64 (windows,).
        end: Position after its last sample, int64 (windows,).
        activity: Activity codes, int16 (windows,).
        signals: float32 (windows, time, channels).
        groups: The recording's groups.
    """

    subject: str
    recording: str
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    activity: NDArray[np.int16]
    signals: NDArray[np.float32]
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowStream:
    """A stream of windows to be stored, one recording at a time."""

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
        table: One row per window: window (0, 1, ...), subject, further groups, recording, start and end (samples),
            activity (code).
        signals: float32 (windows, time, channels), rows in the order of ``table``.
    """

    description: DatasetDescription
    length: int
    stride: int
    table: pd.DataFrame
    signals: NDArray[np.float32]

    @property
    def layout(self) -> Layout:
        """The shape of a window and its channels."""
        return self.description.layout(self.length)

    @property
    def class_count(self) -> int:
        """Number of recognised activities, also of those without windows."""
        return self.description.class_count

    def only(self, modalities: Iterable[str] | None) -> Windows:
        """Return the windows with the channels of some modalities; None keeps all.

        Raises:
            ValueError: if there is no such modality.
        """
        wanted = None if modalities is None else set(modalities)
        if wanted is None or wanted == set(self.layout.modalities):
            return self
        description = self.description.only(wanted)
        known = self.description.channel_names
        indices = [known.index(name) for name in description.channel_names]
        signals = allocate((*self.signals.shape[:2], len(indices)))
        np.take(self.signals, indices, axis=2, out=signals, mode="clip")  # which fills it without a buffer
        return replace(self, description=description, signals=signals)

    @property
    def are_clips(self) -> bool:
        """Whether the windows are clips of various lengths, resampled to one."""
        return bool((self.table["end"] - self.table["start"]).ne(self.length).any())

    def classes(self) -> NDArray[np.int64]:
        """Return each window's class index (windows,): its activity's index in ``recognised``, or -1."""
        codes: NDArray[np.int16] = self.table["activity"].to_numpy()
        index: NDArray[np.int64] = np.full(max(int(codes.max(initial=0)), *self.description.recognised) + 2, UNLABELLED)
        index[list(self.description.recognised)] = np.arange(self.class_count)
        classes: NDArray[np.int64] = index[codes]
        return classes

    @classmethod
    def from_arrays(
        cls,
        signals: NDArray[np.float32],
        classes: NDArray[np.int64],
        class_names: Sequence[str],
        channels: Sequence[Channel] | None = None,
        sampling_rate_hz: float = 1.0,
    ) -> Windows:
        """Return windows from arrays in memory; each counts as a separate recording.

        Args:
            signals: Windows (windows, time, channels).
            classes: Their class indices (windows,), -1 where unlabelled.
            class_names: Names of the class indices.
            channels: Channels of the windows; None for channels without names, units and sensors.
            sampling_rate_hz: Samples per second.
        """
        count, length, width = signals.shape
        description = DatasetDescription(
            name="arrays",
            title="Windows from memory",
            sampling_rate_hz=sampling_rate_hz,
            channels=tuple(channels) if channels is not None else Layout.anonymous(length, width).channels,
            activities=dict(enumerate(class_names)),
        )
        names = [str(index) for index in range(count)]
        table = pd.DataFrame({"window": range(count), "subject": names, "recording": names})
        table = table.assign(start=0, end=length, activity=classes.astype(np.int16))
        return cls(description, length, length, table, np.ascontiguousarray(signals, np.float32))


def write_windows(stream: WindowStream, path: Path) -> None:
    """Stream windows into one Parquet file, one row group per recording, in the memory of one recording's windows.

    Raises:
        ValueError: if no window fits into any run.
    """
    description = stream.description
    schema = _arrow_schema(description, stream.length, stream.stride)
    count = 0
    # Sensor samples do not compress well, and no reader uses column statistics.
    with parquet_writer(
        path,
        schema,
        compression="none",
        use_dictionary=["subject", *description.groups, "recording"],
        write_statistics=False,
    ) as (writer, _):
        for batch in stream.batches():
            rows = len(batch.start)
            if rows == 0:
                continue
            writer.write_table(
                pa.table(
                    [
                        pa.array(np.arange(count, count + rows), pa.int64()),
                        pa.repeat(batch.subject, rows),
                        *(pa.repeat(batch.groups[name], rows) for name in description.groups),
                        pa.repeat(batch.recording, rows),
                        pa.array(batch.start, pa.int64()),
                        pa.array(batch.end, pa.int64()),
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
            f"No window of {stream.length} samples fits into any activity of '{description.name}'. "
            "Shorten windows.length."
        )


def read_windows(path: Path) -> Windows:
    """Read a windows file into one array, in the memory of one recording's windows, and of the array if it fits.

    Raises:
        SchemaError: if the file is not a windows file of this schema version, is damaged, or holds invalid
            values.
    """
    with refuse_broken(path, KIND):
        header = _Header.model_validate(check_schema(path, KIND))
        description, length = header.description, header.length
        with open_parquet(path, memory_map=True) as file:
            refuse_other_columns(file.schema_arrow, _arrow_schema(description, length, header.stride))
            signals = allocate((file.metadata.num_rows, length, len(description.channels)))
            tables = []
            filled = 0
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                refuse_gaps(rows)
                values = rows["signal"].combine_chunks().flatten().to_numpy()
                if not np.isfinite(values).all():
                    raise ValueError(f"samples of recording '{rows['recording'][0]}' are not finite")
                signals[filled : filled + len(rows)] = values.reshape(-1, *signals.shape[1:])
                tables.append(rows.drop_columns(["signal"]))
                filled += len(rows)
        table = pa.concat_tables(tables).to_pandas()
        if filled != len(signals) or not table["window"].equals(pd.Series(range(filled))):
            raise ValueError(f"{filled} windows, not numbered from 0 to {len(signals) - 1}")
        if unknown := set(table["activity"].unique()) - {UNLABELLED, *description.activities}:
            raise ValueError(f"unknown activities {sorted(unknown)}")
        if (table["end"] <= table["start"]).any():
            raise ValueError("a window ends before it starts")
        return Windows(description, length, header.stride, table, signals)


class _Header(BaseModel):
    """The header of a windows file."""

    description: Json[DatasetDescription]
    length: PositiveInt
    stride: PositiveInt


def _arrow_schema(description: DatasetDescription, length: int, stride: int) -> pa.Schema:
    values = length * len(description.channels)
    return pa.schema(
        [
            ("window", pa.int64()),
            ("subject", pa.string()),
            *((name, pa.string()) for name in description.groups),
            ("recording", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("activity", pa.int16()),
            # Non-nullable values are read twice as fast.
            pa.field("signal", pa.list_(pa.field("element", pa.float32(), nullable=False), values), nullable=False),
        ],
        metadata=schema_metadata(
            KIND,
            description=description.model_dump_json(),
            length=str(length),
            stride=str(stride),
        ),
    )
