"""Tables whose columns are known and whose rows are read in blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.settings import FileLayout, Timestamp

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a table.

    Attributes:
        first: Index of the first row in the table.
        numbers: Columns of numbers, float64 (rows, columns), NaN where missing.
        texts: Columns of names, by column.
        seconds: Time of each row, float64 (rows,), NaN where missing; None without time stamps.
        are_local: Whether times are local, so that clocks change by an hour.
    """

    first: int
    numbers: NDArray[np.float64]
    texts: dict[str, pd.Categorical]
    seconds: NDArray[np.float64] | None
    are_local: bool = False


class Table(ABC):
    """A table whose columns are known.

    Attributes:
        place: The file.
        layout: How it is written.
        names: Names of its columns, in order; '' for a column without one.
        sample: Cells of the first rows of a text file.
        first_line: Line of the first row in the file, which :meth:`line` counts from.
    """

    first_line = 1

    def __init__(self, place: Place, layout: FileLayout) -> None:
        self.place, self.layout = place, layout
        self.names: list[str] = []
        self.sample: list[list[str]] = []

    @abstractmethod
    def blocks(self, numbers: Sequence[str], texts: Sequence[str], stamps: Timestamp | None) -> Iterator[Block]:
        """Read some columns, a block of rows at a time.

        Raises:
            BadRecordingError: if a row has too many or too few cells, a cell is no number or no time, or the file
                cannot be read; the message names the row.
        """

    @abstractmethod
    def line(self, row: int) -> int:
        """Return the number of a row as an editor shows it: the first line of the file is 1."""

    def lines_of_rows(self, count: int) -> list[int]:
        """Return the numbers of the first rows as an editor shows them."""
        return [row + self.first_line for row in range(count)]

    @property
    def twice(self) -> list[str]:
        """Names that several columns have."""
        return sorted({name for name in self.names if name and self.names.count(name) > 1})

    def refuse_twice(self) -> None:
        """Refuse two columns of one name.

        Raises:
            BadRecordingError: if there are any.
        """
        if self.twice:
            raise BadRecordingError(
                f"{self.place.where}: two columns are named {', '.join(map(repr, self.twice))}. Rename one of them."
            )


def ahead(items: Iterator[_Item], count: int) -> Iterator[_Item]:
    """Yield items, of which another thread prepares the next ``count`` meanwhile."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming: deque[Future[Any]] = deque(thread.submit(next, items, end) for _ in range(count))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, items, end))
            yield item


def stacked(columns: Sequence[NDArray[Any]], rows: int) -> NDArray[np.float64]:
    """Return columns of numbers side by side (rows, columns)."""
    return np.column_stack(columns).astype(np.float64, copy=False) if columns else np.empty((rows, 0))
