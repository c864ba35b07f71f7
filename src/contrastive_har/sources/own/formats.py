"""Formats of dates and times that are not ISO 8601."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

import pandas as pd

_DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%b %d %Y", "%d %B %Y", "%d-%b-%Y"),
)
_SEPARATORS = (" ", "T", "-", "_", ", ")
_TIMES = ("%H:%M:%S{}", "%H.%M.%S{}", "%H-%M-%S{}", "%H%M%S{}", "%I:%M:%S{} %p")
_FRACTIONS = ("", ".%f", ":%f", ",%f")
_COMPACT = "%Y%m%d%H%M%S%f"
_DIGITS = (14, 17)  # of dates in one number, to seconds or milliseconds; unlike those of times since 1970
_ZONE = re.compile(r" (?!AM\b|PM\b)[A-Z]{2,5}\b")
_LOOKED_AT = 200
_DATE = re.compile(r"%[djmbByYaA]")


def formats_of(texts: Sequence[str]) -> list[str]:
    """Return the formats that suit all texts; several where day and month cannot be told apart."""
    texts = list(dict.fromkeys(texts))[:_LOOKED_AT]
    if not texts:
        return []
    zone = match[0] if (match := _ZONE.search(texts[0])) else ""
    times = [time.format(fraction) for time, fraction in product(_TIMES, _FRACTIONS)]
    forms = [*times, *("".join(parts) for parts in product(_DATES, _SEPARATORS, times))]
    forms = [*(form + zone for form in forms), *(f"%a %b %d {time}{zone} %Y" for time in times)]
    if all(text.isdigit() and len(text) in _DIGITS for text in texts):
        forms = [_COMPACT if len(texts[0]) == max(_DIGITS) else _COMPACT.removesuffix("%f")]
    return [form for form in forms if _may_suit(form, texts[0]) and _suits(form, texts)]


def _suits(form: str, texts: Sequence[str]) -> bool:
    return bool(pd.to_datetime(pd.Series(texts), format=form, errors="coerce").notna().all())


def _may_suit(form: str, text: str) -> bool:
    """Return whether a text has the signs of a format, which is soon seen."""
    return re.sub(r"\w", "", re.sub(r"%.", "", form)) == re.sub(r"\w", "", text)


def has_date(form: str) -> bool:
    """Return whether times of a format have a date."""
    return _DATE.search(form) is not None
