"""Time stamps as seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.formats import formats_of, has_date
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Timestamp

_NO_DATE = pd.Timestamp("1900-01-01")  # of times of day
_OFFSET = re.compile(r"(:\d\d(\.\d+)?|T\d+(\.\d+)?)(Z|[+-]\d\d:?\d\d)$")  # after a time: a date may end with -2026
_EMPTY = ("", "nan", "NaN", "NaT", "NA", "null", "None")
_DATE = re.compile(r"(\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,2}:\d\d)(?!\d)")


def are_numbers(cells: Sequence[str], decimal: str = ".") -> bool:
    """Return whether there are cells and all of them are numbers."""
    try:
        for cell in cells:
            if decimal != "." and "." in cell:
                return False
            float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return bool(cells)


def is_date(cell: str) -> bool:
    """Return whether a cell begins like a date or a time of day."""
    return _DATE.match(cell) is not None


def is_value(cell: str) -> bool:
    """Return whether a cell is a number, with any decimal mark, a date or a time, and no name."""
    return are_numbers([cell]) or are_numbers([cell], ",") or is_date(cell)


def to_seconds(stamps: pd.Series, how: Timestamp, where: Callable[[int], str]) -> NDArray[np.float64]:
    """Return time stamps as seconds (rows,), NaN where there is none; dates count from 1970, times of day from 0:00.

    Args:
        stamps: Numbers, dates or texts.
        how: How they are written.
        where: Returns the file and the row of a stamp, for messages.

    Raises:
        BadRecordingError: if a stamp is not a time.
    """
    scale = how.scale
    if pd.api.types.is_numeric_dtype(stamps) and how.format is None:
        return np.asarray(stamps, np.float64) * scale
    if not pd.api.types.is_datetime64_any_dtype(stamps):
        texts = stamps.astype("string").str.strip()
        if how.format is None:
            texts = texts.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)  # a decimal comma
        is_empty = texts.isna() | texts.isin(_EMPTY)
        as_numbers = pd.to_numeric(texts, errors="coerce")
        if how.format is None and not is_empty.all() and as_numbers[~is_empty].notna().all():
            return np.asarray(as_numbers, np.float64) * scale
        has_offset = not is_empty.all() and bool(_OFFSET.search(str(texts[~is_empty].iloc[0])))
        stamps = pd.to_datetime(
            texts.where(~is_empty),
            errors="coerce",
            format=how.format or "ISO8601",
            utc=how.timezone is None or has_offset,
        )
        bad = stamps.isna() & ~is_empty
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise BadRecordingError(
                f"{where(row)}: '{str(texts.iloc[row])[:100]}' is not a time. "
                f"{_cure([str(text) for text in texts[~is_empty]], how)}"
            )
        if how.format is not None and not has_date(how.format):
            return np.asarray((stamps.dt.tz_localize(None) - _NO_DATE).dt.total_seconds(), np.float64)
    if getattr(stamps.dtype, "tz", None) is None:
        # Of an hour that the clock shows twice, the first is taken here; its return is recognised later.
        zone = how.timezone or "UTC"
        first = np.ones(len(stamps), bool)
        stamps = stamps.dt.tz_localize(zone, ambiguous=first, nonexistent=pd.Timedelta("1h"))
    return np.asarray((stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), np.float64)


def _cure(texts: Sequence[str], how: Timestamp) -> str:
    """Return what to write so that texts are times, as far as a format suits all of them."""
    formats = [one for one in formats_of(texts) if one != how.format]
    if not formats:
        return "Use numbers, or dates and times such as 2026-01-31T12:00:00.020."
    others = "".join(f', or "{one}"' for one in formats[1:3])
    return f"Write '{how.written(format=formats[0])}' in {DESCRIPTION_FILE}{others}{' as is meant' if others else ''}."


def are_local(stamps: pd.Series) -> bool:
    """Return whether stamps are dates without an offset, of a clock that may change by an hour."""
    if pd.api.types.is_datetime64_any_dtype(stamps):
        return getattr(stamps.dtype, "tz", None) is None
    if pd.api.types.is_numeric_dtype(stamps):
        return False
    texts = stamps.astype("string").str.strip()
    known = texts[texts.notna() & ~texts.isin(_EMPTY)]
    return len(known) > 0 and not are_numbers([known.iloc[0]]) and not _OFFSET.search(known.iloc[0])
