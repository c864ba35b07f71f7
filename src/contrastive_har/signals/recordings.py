"""Recordings: one subject wearing the sensors for one uninterrupted session.

A recording is the unit in which data enter the project. It holds raw samples in the units its data set declares,
one activity code per sample, and the sample's position on a regular clock, so that a gap in time stays visible.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, Json

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tables import check_schema, open_parquet, parquet_writer, schema_metadata
from contrastive_har.files.texts import shorten
from contrastive_har.signals.descriptions import MEASUREMENT_COLUMNS, UNLABELLED, DatasetDescription, find_fault

LONGEST_STEP = 1.5
"""Longest step between neighbouring samples, in sampling intervals; a longer one means missing samples."""

KIND = "recordings"


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        subject: Subject who wore the sensors.
        name: Unique within the data set.
        sample: Position of each row on the regular clock, int64 (time,); a jump is a gap.
        activity: Activity code of each row, int16 (time,).
        samples: Measurements, float32 (time, channels), in the units of the description.
        groups: Value of each group that the description declares, such as ``{"session": "2"}``.
        mended: Defects of its file that were mended by rule, and how many rows or samples had them.
    """

    subject: str
    name: str
    sample: NDArray[np.int64]
    activity: NDArray[np.int16]
    samples: NDArray[np.float32]
    groups: Mapping[str, str] = field(default_factory=dict)
    mended: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """Consecutive samples of a recording without activities, which may be too long for memory.

    Attributes:
        recording: Name of the recording.
        file: Its file.
        row: Row number of the first sample in the file (the header of a CSV file is row 1).
        seconds: Time of each sample, float64 (time,).
        samples: Finite measurements, float64 (time, channels).
        sampling_rate_hz: The declared rate; None if none is declared.
    """

    recording: str
    file: Path
    row: int
    seconds: NDArray[np.float64]
    samples: NDArray[np.float64]
    sampling_rate_hz: float | None


@dataclass(frozen=True)
class Rejection:
    """A rejected recording and the reason, which names the file, the row and the cure.

    Attributes:
        recording: Its name.
        reason: Why it is left out.
        passed_over: Whether it is a file that is no recording at all.
        file: The file, if pieces of it may have come before.
    """

    recording: str
    reason: str
    passed_over: bool = False
    file: Path | None = None


@dataclass(frozen=True)
class Recordings:
    """A data set's recordings, streamed: only one of them is in memory at a time.

    Attributes:
        description: Description of the data set.
        stream: Starts a new pass over the accepted and the rejected recordings.
    """

    description: DatasetDescription
    stream: Callable[[], Iterator[Recording | Rejection]]

    def __iter__(self) -> Iterator[Recording]:
        return (item for item in self.stream() if isinstance(item, Recording))


class BadRecordingError(ValueError):
    """A recording that cannot be used; the message names the file, the row and the cure."""

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message))


def check_recording(
    recording: Recording, description: DatasetDescription, where: str, rows: Sequence[int] | None = None
) -> None:
    """Check that a recording agrees with its description and holds finite samples.

    Args:
        recording: The recording.
        description: The description it must agree with.
        where: File name for the message.
        rows: Row numbers of the samples in the file, if they are not 1, 2, ...

    Raises:
        BadRecordingError: if it is empty, has unusable names, activities for more or fewer samples, another number of
            channels, NaN or infinite samples, or activity codes or groups that are not declared.
    """

    def number(row: int) -> int:
        return row + 1 if rows is None else rows[row]

    for what, name in {"subject": recording.subject, **recording.groups}.items():
        if fault := find_fault(name):
            raise BadRecordingError(f"{where}: the name of its {what} {fault}: {name[:100]!r}. Correct it.")
    samples = recording.samples
    if len(samples) == 0:
        raise BadRecordingError(f"{where}: no samples. The file is empty or truncated; copy it again.")
    if not len(samples) == len(recording.activity) == len(recording.sample):
        raise BadRecordingError(
            f"{where}: {len(samples)} samples, but {len(recording.activity)} activities and {len(recording.sample)} "
            "positions. The file is truncated; copy it again."
        )
    if samples.shape[1] != len(description.channels):
        raise BadRecordingError(
            f"{where}: {samples.shape[1]} channels where {len(description.channels)} were declared "
            f"({', '.join(description.channel_names)}). Correct the file or the description."
        )
    if not np.isfinite(samples).all():
        row, column = np.argwhere(~np.isfinite(samples))[0]
        raise BadRecordingError(
            f"{where}, row {number(row)}: channel '{description.channel_names[column]}' is {samples[row, column]}. "
            "Interpolate or cut out the samples that are not finite."
        )
    known = np.array([UNLABELLED, *description.activities])
    unknown = ~np.isin(recording.activity, known)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise BadRecordingError(
            f"{where}, row {number(row)}: unknown activity {recording.activity[row]}. "
            f"Known codes: {sorted(description.activities)}; use {UNLABELLED} for unlabelled."
        )
    if set(recording.groups) != set(description.groups):
        raise BadRecordingError(
            f"{where}: belongs to groups {sorted(recording.groups)} where {sorted(description.groups)} were declared. "
            "Correct the file or the description."
        )


def write_recordings(recordings: Recordings, path: Path) -> None:
    """Stream recordings into one Parquet file, one row group per recording, in the memory of one recording.

    Rejected recordings and mended defects are stored in the metadata of the file, so that they can be reported.

    Raises:
        BadRecordingError: if not a single recording is usable.
    """
    description = recordings.description
    schema = _arrow_schema(description)
    rejections: list[Rejection] = []
    mended: dict[str, Mapping[str, int]] = {}  # by recording
    # Dictionaries and statistics of samples take longer to write than all else, and no reader uses them.
    with parquet_writer(
        path,
        schema,
        compression="lz4",
        use_dictionary=["subject", *description.groups, "recording", "activity"],
        column_encoding={"sample": "DELTA_BINARY_PACKED"},
        write_statistics=False,
    ) as (writer, entries):
        for item in recordings.stream():
            if isinstance(item, Rejection):
                rejections.append(item)
                continue
            rows = len(item.samples)
            writer.write_table(
                pa.table(
                    [
                        pa.repeat(item.subject, rows),
                        *(pa.repeat(item.groups[name], rows) for name in description.groups),
                        pa.repeat(item.name, rows),
                        pa.array(item.sample, pa.int64()),
                        pa.array(item.activity, pa.int16()),
                        *(pa.array(column, pa.float32()) for column in item.samples.T),
                    ],
                    schema=schema,
                ),
                row_group_size=rows,
            )
            mended[item.name] = item.mended
        counts = {name: counts for name, counts in mended.items() if counts}
        entries["rejections"] = json.dumps([asdict(one) for one in rejections])
        entries["mended"] = json.dumps(counts)
    if not mended:
        reasons = "\n".join(f"  {one.recording}: {one.reason}" for one in rejections) or "  there were no recordings"
        raise BadRecordingError(f"No usable recording in data set '{description.name}':\n{reasons}")


def read_recordings(path: Path) -> Recordings:
    """Open a recordings file lazily; each pass reads it again, one row group at a time.

    Raises:
        SchemaError: if the file is not a recordings file of this schema version; while streaming, if it is damaged or
            holds invalid values.
    """
    with refuse_broken(path, KIND):
        header = _Header.model_validate(check_schema(path, KIND))
        with open_parquet(path) as opened:
            refuse_other_columns(opened.schema_arrow, _arrow_schema(header.description))

    def stream() -> Iterator[Recording | Rejection]:
        with refuse_broken(path, KIND), open_parquet(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                refuse_gaps(table)
                recording = Recording(
                    subject=table["subject"][0].as_py(),
                    name=table["recording"][0].as_py(),
                    sample=table["sample"].to_numpy(),
                    activity=table["activity"].to_numpy(),
                    samples=np.column_stack([table[name].to_numpy() for name in header.description.channel_names]),
                    groups={name: table[name][0].as_py() for name in header.description.groups},
                    mended=header.mended.get(table["recording"][0].as_py(), {}),
                )
                check_recording(recording, header.description, f"recording '{recording.name}'")
                yield recording
        yield from header.rejections

    return Recordings(header.description, stream)


class _Header(BaseModel):
    """The header of a recordings file."""

    description: Json[DatasetDescription]
    rejections: Json[tuple[Rejection, ...]]
    mended: Json[dict[str, dict[str, int]]] = {}


def refuse_other_columns(found: pa.Schema, expected: pa.Schema) -> None:
    """Check the columns of a stored file.

    Raises:
        ValueError: if names, types or order differ.
    """
    if not found.equals(expected):
        raise ValueError(f"columns {_columns(found)} instead of {_columns(expected)}")


def refuse_gaps(table: pa.Table) -> None:
    """Check that each column has a value in each row, as the writers guarantee.

    Raises:
        ValueError: if a value is missing.
    """
    if gaps := [name for name in table.column_names if table[name].null_count]:
        raise ValueError(f"values are missing in {', '.join(gaps)}")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _arrow_schema(description: DatasetDescription) -> pa.Schema:
    subject, *others = zip(MEASUREMENT_COLUMNS, (pa.string(), pa.string(), pa.int64(), pa.int16()), strict=True)
    fields = [pa.field(*subject)]
    fields += [pa.field(name, pa.string()) for name in description.groups]
    fields += [pa.field(name, kind) for name, kind in others]
    fields += [pa.field(name, pa.float32()) for name in description.channel_names]
    return pa.schema(fields, metadata=schema_metadata(KIND, description=description.model_dump_json()))
