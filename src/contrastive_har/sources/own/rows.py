"""Rows of a file with the names that its columns have for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from contrastive_har.signals.arrays import edges
from contrastive_har.sources.own.parts import Part

_MANY = 500_000  # rows of a file that are in memory at once, if no recording has more


@dataclass(frozen=True)
class NamedRows:
    """Rows of a table: samples, and the names that its columns have for them by role."""

    part: Part
    names: dict[str, pd.Categorical]

    def __len__(self) -> int:
        return len(self.part.rows)

    def take(self, which: slice | NDArray[np.intp]) -> NamedRows:
        """Return some of the rows."""
        return NamedRows(self.part.take(which), {role: names[which] for role, names in self.names.items()})

    @classmethod
    def joined(cls, several: Sequence[NamedRows]) -> NamedRows:
        """Return the rows of several blocks one after another."""
        if len(several) == 1:
            return several[0]
        parts = [one.part for one in several]
        part = replace(
            parts[0],
            rows=np.concatenate([one.rows for one in parts]),
            numbers=np.concatenate([one.numbers for one in parts]),
            seconds=_concatenated([one.seconds for one in parts]),
            codes=_concatenated([one.codes for one in parts]),
        )
        return cls(part, {role: union_categoricals([one.names[role] for one in several]) for role in several[0].names})


def sections(blocks: Iterable[NamedRows]) -> Iterator[tuple[NamedRows, bool]]:
    """Join blocks so that recordings are whole, where their rows follow one another; large files come in several.

    Returns:
        Rows, and whether they are the last.
    """
    waiting: list[NamedRows] = []
    changes = False  # whether there are several recordings among them: one that is long is joined once
    for block in blocks:
        changes = changes or len(edges_of(block)) > 2 or (bool(waiting) and _first(block) != _first(waiting[-1]))
        waiting.append(block)
        if changes and sum(map(len, waiting)) > _MANY:
            joined = NamedRows.joined(waiting)
            last = edges_of(joined)[-2]
            # A copy, not a view, which would keep all that was joined.
            waiting, changes = [joined.take(np.arange(last, len(joined)))], False
            joined = joined.take(slice(0, last))
            if last:
                yield joined, False
            del joined
    if waiting:
        yield NamedRows.joined(waiting), True


def _first(rows: NamedRows) -> list[str]:
    return [str(names[0]) for names in rows.names.values()]


def edges_of(rows: NamedRows) -> list[int]:
    """Return the first index of each run of rows with the same names, and their number."""
    changes = np.zeros(len(rows) - 1, bool)
    for role, names in rows.names.items():
        if role == "recording" or "recording" not in rows.names:
            changes |= np.diff(names.codes) != 0
    return edges(changes, len(rows))


def _concatenated(arrays: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [one for one in arrays if one is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None
