"""Candidates: the windows among which those to label are chosen, and the stretches in which they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """The windows that may be labelled, and what is known of them.

    Attributes:
        embeddings: Their embeddings, float32 (windows, features).
        subjects: Subject of each (windows,).
        recordings: Recording of each (windows,).
        starts: First sample of each on the clock of its recording, int64 (windows,).
        ends: Sample after its last, int64 (windows,).
        rate: Samples per second.
        parts: Index of the part of a recording, without a gap, that each is cut from, int64 (windows,).
        labelled: Indices of those that have a label already.
        probabilities: Probabilities of the activities (windows, classes), by a head trained on those labels; None
            before there are any.
        closed: Indices of those that may not be chosen, and nor may their stretches.
        stretches: Index of the stretch of each, -1 if it is in none, int64 (windows,); each window is one of its own
            unless :meth:`in_stretches` says otherwise.
    """

    embeddings: NDArray[np.float32]
    subjects: NDArray[np.object_]
    recordings: NDArray[np.object_]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rate: float
    parts: NDArray[np.int64]
    labelled: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    probabilities: NDArray[np.float32] | None = None
    closed: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    stretches: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.stretches):
            object.__setattr__(self, "stretches", np.arange(len(self)))

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        embeddings: NDArray[np.float32],
        rate: float,
        parts: NDArray[np.int64] | None = None,
    ) -> Candidates:
        """Return the windows of a table: subject, recording, start and end (samples), in the order of ``embeddings``.

        Args:
            table: One row per window.
            embeddings: Their embeddings (windows, features).
            rate: Samples per second.
            parts: Part of a recording of each window (windows,); None if no recording has a gap.
        """
        text = {name: table[name].to_numpy().astype(object) for name in ("subject", "recording")}
        clock = {name: table[name].to_numpy(np.int64) for name in ("start", "end")}
        of_recording = np.unique(text["recording"].astype(str), return_inverse=True)[1]
        known = of_recording if parts is None else parts
        return cls(embeddings, text["subject"], text["recording"], clock["start"], clock["end"], rate, known)

    def with_labelled(
        self, labelled: Sequence[int] | NDArray[np.int64], probabilities: NDArray[np.float32] | None = None
    ) -> Candidates:
        """Return the same windows with others of them labelled; None keeps the ``probabilities``."""
        known = self.probabilities if probabilities is None else probabilities
        return replace(self, labelled=np.asarray(labelled, np.int64), probabilities=known)

    def in_stretches(self, seconds: float | None) -> Candidates:
        """Return the same windows, to be asked for in stretches; None asks for each by itself.

        Each part of a recording is divided, from the start of its first window on, into stretches of equal length. A
        window is in a stretch if all of it is; those that cross a border are in none, and never asked for.

        Args:
            seconds: Length of a stretch.

        Raises:
            ValueError: if no window is as short as a stretch.
        """
        if seconds is None:
            return replace(self, stretches=np.arange(len(self)))
        samples = round(seconds * self.rate)
        begin = np.full(self.parts.max(initial=0) + 1, np.iinfo(np.int64).max)
        np.minimum.at(begin, self.parts, self.starts)
        first, last = self.starts - begin[self.parts], self.ends - 1 - begin[self.parts]
        inside = first // samples == last // samples if samples else np.zeros(len(self), bool)
        if not inside.any():
            length = int((self.ends - self.starts).min()) / self.rate
            raise ValueError(f"no window of {length:g} s is within a stretch of {seconds:g} s; write a longer stretch")
        cells = self.parts * (first.max() // samples + 1) + first // samples
        stretches = np.full(len(self), -1)
        stretches[inside] = np.unique(cells[inside], return_inverse=True)[1]
        return replace(self, stretches=stretches)

    def members(self, index: int) -> NDArray[np.int64]:
        """Return the windows that are labelled together with a window that is chosen: those of its stretch."""
        return np.flatnonzero(self.stretches == self.stretches[index])

    def span(self, index: int) -> tuple[int, int]:
        """Return the first sample, and the one after the last, that a person looks at to label a window."""
        members = self.members(index)
        return int(self.starts[members].min()), int(self.ends[members].max())

    def seconds(self, chosen: Iterable[int]) -> float:
        """Return how many seconds of signal a person looks at to label chosen windows."""
        return sum(end - start for start, end in map(self.span, chosen)) / self.rate

    def as_many_as(self, windows: int) -> int:
        """Return how many stretches take no more signal than so many windows by themselves; at least one."""
        inside = self.stretches >= 0
        of_window = self.stretches[inside]
        begin = np.full(of_window.max(initial=0) + 1, np.iinfo(np.int64).max)
        end = np.zeros_like(begin)
        np.minimum.at(begin, of_window, self.starts[inside])
        np.maximum.at(end, of_window, self.ends[inside])
        return max(1, windows * int((self.ends - self.starts).max()) // int((end - begin).max()))
