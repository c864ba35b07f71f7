"""Errors that the project raises itself end a command with their message; others with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from click import ClickException
from pydantic import ValidationError

from contrastive_har.files.errors import raised_in
from contrastive_har.files.texts import shorten

_PACKAGE = Path(__file__).parents[1]
_MEANT = (ValueError, RuntimeError, OSError, ClickException)
"""Types that the project raises on purpose; others, such as ``KeyError``, are faults of the program."""


def show_refusals() -> None:
    """Print the message of a refusal instead of its traceback, which the log of the run has."""
    others = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        refusal = find_refusal(error)
        if refusal is None:
            others(kind, error, trace)
        else:
            sys.stderr.write(f"Error: {refusal}\n")

    sys.excepthook = show


def find_refusal(error: BaseException) -> str | None:
    """Return the message of the error by which the project refused something; None if a fault ended the program.

    Errors that others raise from it, such as Kedro's when an artifact cannot be stored, are looked through.
    """
    for cause in _causes(error):
        file = raised_in(cause)
        is_own = file is not None and _PACKAGE in file.parents
        if isinstance(cause, ValidationError):
            from contrastive_har.files.stamps import (
                explain,  # imports torch, which a listing of pipelines does not need
            )

            return f"{cause.title}: {explain(cause)}"
        if is_own and isinstance(cause, _MEANT):
            return shorten(str(cause))
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__
