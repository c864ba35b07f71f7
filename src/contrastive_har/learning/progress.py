"""Progress of work that takes long: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import io
import sys
from typing import Any

from tqdm import tqdm

from contrastive_har.learning.compute import Compute

EVERY = 600.0
"""Seconds between lines where there is no terminal, such as in a scheduler's log; shorter work has none."""

_FORMAT = "{desc} {percentage:3.0f}%{postfix}, {rate_fmt}, {remaining} left"


def progress_bar(title: str, total: int, unit: str, compute: Compute, done: int = 0) -> tqdm[Any]:
    """Return a bar that counts units of work, shows how many are done per second, and the time that is left.

    Args:
        title: What is done.
        total: All units.
        unit: Their name, in the plural.
        compute: Whether this process shows progress.
        done: Units that an earlier run has done.
    """
    known: dict[str, Any] = {"total": total, "unit": f" {unit}", "unit_scale": True, "desc": title, "initial": done}
    known["disable"] = not compute.shows_progress
    if sys.stderr.isatty():
        return tqdm(None, bar_format=f"{_FORMAT} |{{bar}}|", **known)
    now_and_then: dict[str, Any] = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY, "leave": False}
    return tqdm(None, bar_format=_FORMAT, file=_Lines(), **now_and_then, **known)


class _Lines(io.StringIO):
    """Writes what a bar shows to the standard error, as lines of its own."""

    def write(self, text: str) -> int:
        """Write a line, unless it only clears the bar."""
        if shown := text.strip():
            sys.stderr.write(f"{shown}\n")
            sys.stderr.flush()
        return len(text)
