"""Your own recordings: a folder of CSV or Parquet files and a ``dataset.yml`` that says what is in them.

Columns: ``subject``; the channels ``dataset.yml`` names; optionally ``recording`` (default: the file's name),
``timestamp`` (seconds, or dates and times; default: regular samples) and ``activity`` (a name or a code; empty means
unlabelled).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError, Recording
from contrastive_har.sources.candidate import Candidate, File
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

_RATE_TOLERANCE = 0.05  # share by which the median sampling interval may differ from the declared one


def describe(folder: Path) -> DatasetDescription:
    """Read ``dataset.yml``.

    Raises:
        BadRecordingError: if it is missing or invalid.
    """
    content = read_description_file(folder)
    content.pop("gaps", None)
    if "name" in content:
        raise BadRecordingError(f"{folder / DESCRIPTION_FILE}: 'name' is not a key here; use 'title'.")
    try:
        return DatasetDescription.model_validate({"title": "My data", **content, "name": "my_data"})
    except ValidationError as error:
        raise BadRecordingError(f"{folder / DESCRIPTION_FILE}: {explain(error)}. See docs/your_data.md.") from error


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find every CSV and Parquet file in the folder, in the order of their names."""
    gaps = read_description_file(folder).get("gaps", "reject")
    if gaps not in ("reject", "split"):
        raise BadRecordingError(f"{folder / DESCRIPTION_FILE}: gaps is '{gaps}'; use 'reject' or 'split'.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".csv", ".parquet"))
    if not paths:
        raise BadRecordingError(f"{folder}: no CSV or Parquet file. Put your recordings there; see docs/your_data.md.")
    for path in paths:
        yield partial(_in_file, path, folder, description, gaps)


def _in_file(path: Path, folder: Path, description: DatasetDescription, gaps: str) -> Iterator[Candidate]:
    try:
        frame = _read_file(path, folder, description)
    except Exception as error:  # noqa: BLE001 - raised again when the candidate is loaded
        yield Candidate.failed(default_name(path, folder), str(path), error)
        return
    for name, rows in frame.groupby("recording", sort=False):
        load = partial(_load, rows, str(name), description, path, gaps)
        yield Candidate(str(name), str(path), load, rows=rows.index)


def _read_file(path: Path, folder: Path, description: DatasetDescription) -> pd.DataFrame:
    """Read one file; the index is the row number in the file (the header of a CSV file is row 1)."""
    try:
        is_csv = path.suffix.lower() == ".csv"
        frame = _read_csv(path, description) if is_csv else _read_parquet(path)
    except BadRecordingError:
        raise
    except pd.errors.EmptyDataError:
        raise BadRecordingError(f"{path}: the file is empty. Copy it again.") from None
    except Exception as error:  # the errors of parsers are not documented
        raise BadRecordingError(f"{path}: cannot be read ({explain(error)}). Copy it again.") from error
    if twice := sorted({str(name) for name in frame.columns[frame.columns.duplicated()]}):
        raise BadRecordingError(f"{path}: two columns are named {', '.join(map(repr, twice))}. Rename one of them.")
    first = 2 if is_csv else 1
    frame.index = pd.RangeIndex(first, first + len(frame))
    needed = ("subject", *description.groups, *description.channel_names)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise BadRecordingError(
            f"{path}: no column {', '.join(map(repr, missing))}; found {', '.join(map(repr, frame.columns))}. "
            f"Rename the column or correct {DESCRIPTION_FILE}."
        )
    if frame.empty:
        raise BadRecordingError(f"{path}: a header but no rows. The file is truncated; copy it again.")
    if "recording" not in frame.columns:
        frame = frame.assign(recording=default_name(path, folder))
    for column in ("subject", *description.groups, "recording"):
        names = as_text(frame[column])
        if (empty := names == "").any():
            row = frame.index[empty][0]
            raise BadRecordingError(f"{path}, row {row}: '{column}' is empty. Fill it in, or remove the row.")
        frame[column] = names
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file; an index that pandas has written, such as time stamps, becomes a column."""
    table = pq.read_table(path)
    refuse_nameless_times(table.schema, path)
    return table.to_pandas(ignore_metadata=True)


def _read_csv(path: Path, description: DatasetDescription) -> pd.DataFrame:
    """Read a CSV file with literal names: a subject '01' stays '01', an activity 'None' is not a missing value."""
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(("subject", *description.groups, "recording", "activity"), str),
        keep_default_na=False,
        na_values=dict.fromkeys(description.channel_names, NOT_A_NUMBER),
    )


def _load(rows: pd.DataFrame, name: str, description: DatasetDescription, path: Path, gaps: str) -> Recording:
    subjects = rows["subject"].unique()
    if len(subjects) > 1:
        row = rows.index[rows["subject"] != subjects[0]][0]
        raise BadRecordingError(
            f"{path}, row {row}: recording '{name}' belongs to '{subjects[0]}' and to '{subjects[1]}'. "
            "Give each subject recordings of their own."
        )
    for group in description.groups:
        if (other := rows[group] != rows[group].iloc[0]).any():
            row = rows.index[other][0]
            raise BadRecordingError(
                f"{path}, row {row}: recording '{name}' belongs to {group} '{rows[group].iloc[0]}' and to "
                f"'{rows[group][row]}'. Give each {group} recordings of its own."
            )
    samples = np.column_stack([numbers(rows[channel], channel, path) for channel in description.channel_names])
    return Recording(
        subject=str(subjects[0]),
        name=name,
        sample=_clock(rows, description.sampling_rate_hz, path, "split" if gaps == "split" else "reject"),
        activity=_activities(rows, description, path),
        samples=samples.astype(np.float32),
        groups={group: str(rows[group].iloc[0]) for group in description.groups},
    )


def _activities(rows: pd.DataFrame, description: DatasetDescription, path: Path) -> NDArray[np.int16]:
    if "activity" not in rows.columns:
        return np.full(len(rows), UNLABELLED, np.int16)
    codes = {name: code for code, name in description.activities.items()}
    # Programs write whole numbers as 1.0 if other cells of the column are empty.
    for code in (UNLABELLED, *description.activities):
        codes |= {f"{code}": code, f"{code}.0": code}
    values = as_text(rows["activity"])
    found = values.map(codes).where(values != "", UNLABELLED)
    if (unknown := found.isna()).any():
        row = rows.index[unknown][0]
        raise BadRecordingError(
            f"{path}, row {row}: unknown activity '{rows['activity'][row]}'. Known: "
            f"{', '.join(description.activities.values())}. Correct the row or add it to {DESCRIPTION_FILE}."
        )
    return np.asarray(found, np.int16)


def _clock(rows: pd.DataFrame, rate: float, path: Path, gaps: Literal["reject", "split"]) -> NDArray[np.int64]:
    """Return each row's position on the regular clock; without time stamps the rows count as regular.

    Raises:
        BadRecordingError: if time stamps are no times, do not ascend, have another rate or, where ``gaps`` is
            ``reject``, have a gap.
    """
    if "timestamp" not in rows.columns:
        return np.arange(len(rows))
    steps = np.diff(seconds(rows["timestamp"], path)) * rate
    if (backward := steps <= 0).any():
        row = rows.index[1:][backward][0]
        kind = "repeats" if steps[backward][0] == 0 else "is earlier than"
        raise BadRecordingError(
            f"{path}, row {row}: time stamp {rows['timestamp'][row]} {kind} the one before. "
            "Sort the rows by time and remove duplicates."
        )
    if len(steps) and abs(float(np.median(steps)) - 1) > _RATE_TOLERANCE:
        raise BadRecordingError(
            f"{path}, row {rows.index[0]}: time stamps come at {rate / np.median(steps):.4g} Hz, "
            f"{DESCRIPTION_FILE} says {rate:g} Hz. Correct sampling_rate_hz or resample the recording."
        )
    missing = steps > LONGEST_STEP
    if missing.any() and gaps == "reject":
        row = rows.index[1:][missing][0]
        raise BadRecordingError(
            f"{path}, row {row}: a gap of {steps[missing][0] / rate:.3g} s before this row. Fill it, or set "
            f"'gaps: split' in {DESCRIPTION_FILE} to cut the recording there."
        )
    jumps = np.where(missing, np.maximum(np.rint(steps), 2), 1).astype(np.int64)
    return np.concatenate([[0], np.cumsum(jumps)])
