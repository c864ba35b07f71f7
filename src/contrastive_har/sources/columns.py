"""Columns of official files: numbers separated by spaces or tabs, tables with commas, and codes of activities."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.archive import Member


def read_numbers(member: Member, columns: int, wanted: Sequence[int] | None = None) -> NDArray[np.float64]:
    """Read a file of numbers separated by spaces or tabs, without a header.

    Args:
        member: The file.
        columns: How many columns it has.
        wanted: Indices of those to return, the last of which each row must have; None returns all.

    Returns:
        Numbers (rows, columns), NaN where the file has NaN.

    Raises:
        BadRecordingError: if it cannot be read, a row has another number of columns, or a value is not a number.
    """
    content = member.read()
    if not content.strip():
        return np.empty((0, columns if wanted is None else len(wanted)))
    try:
        numbers = np.loadtxt(io.BytesIO(content), comments=None, usecols=wanted, ndmin=2, encoding="ascii")
    except ValueError as error:
        raise _problem(content, columns, member.where) from error
    if len(io.BytesIO(content.lstrip()).readline().split()) != columns:
        raise _problem(content, columns, member.where)
    return np.asarray(numbers)


def require_numbers(values: Any) -> NDArray[Any]:
    """Return an array of numbers as it is: what is read from a pickle can also be lists that hold one another.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise ValueError(f"{type(values).__name__} instead of an array of numbers")
    return values


def whole_numbers(values: Any) -> NDArray[np.int16]:
    """Return an array of numbers as codes of activities or people.

    Raises:
        ValueError: if it is something else, or one is not whole, or not of 16 bits.
    """
    numbers = require_numbers(values)
    with np.errstate(invalid="ignore"):
        codes = numbers.astype(np.int16)
    if not np.array_equal(codes, numbers):
        raise ValueError("codes that are no whole numbers of 16 bits")
    return codes


def _problem(content: bytes, columns: int, where: str) -> BadRecordingError:
    """Find what is wrong with a file of numbers, row by row."""
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        return BadRecordingError(f"{where}: cannot be read ({error}). Copy it again from the official archive.")
    for number, line in enumerate(lines, start=1):
        row = line.split()
        if row and len(row) != columns:
            return BadRecordingError(
                f"{where}, row {number}: {len(row)} numbers instead of {columns}. The file is truncated; copy it again."
            )
        for value in row:
            try:
                float(value)
            except ValueError:
                return BadRecordingError(
                    f"{where}, row {number}: '{value}' is not a number. Correct the row or copy the file again."
                )
    return BadRecordingError(f"{where}: not a table of {columns} columns. Copy it again.")


def read_csv(member: Member, **options: Any) -> pd.DataFrame:
    """Read a table with commas, with the options of pandas.

    Raises:
        BadRecordingError: if it is none.
    """
    try:
        return pd.read_csv(io.BytesIO(member.read()), **options)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadRecordingError(f"{member.where}: not a table ({error}). Copy it again.") from error


def activity_codes(
    numbers: NDArray[np.float64],
    known: Collection[int],
    where: str,
    unlabelled: int = UNLABELLED,
    first_row: int = 1,
) -> NDArray[np.int16]:
    """Return a column of activity codes as codes.

    Args:
        numbers: The column (rows,).
        known: Codes of the description.
        where: File for the message.
        unlabelled: The file's code of samples without an activity.
        first_row: Row number in the file of the first code, for the message.

    Raises:
        BadRecordingError: if a code is not known.
    """
    unknown = ~np.isin(numbers, [unlabelled, *known])
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise BadRecordingError(
            f"{where}, row {row + first_row}: unknown activity {numbers[row]:g}. Correct it or copy the file again."
        )
    return np.where(numbers == unlabelled, UNLABELLED, numbers).astype(np.int16)
