"""The base class of strategies, and what they have in common: which windows may be chosen together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.strict import StrictModel

Allowed = Callable[[], NDArray[np.bool_]]
"""Returns which windows may be chosen now (windows,), given those that have been."""


class BaseStrategy(StrictModel, ABC):
    """Base class of strategies, which are their own settings.

    Attributes:
        spread: Spread the labelled windows over the subjects or the recordings, as evenly as the windows allow; null
            leaves it to the strategy.
        stretch: Seconds of a stretch, in which people are asked for one activity of all its windows; null asks for each
            window by itself.
        needs_probabilities: Whether it needs probabilities, and so some labels to begin with.
        why: Why a window is chosen, in words for the people who label it.
    """

    needs_probabilities: ClassVar[bool] = False
    why: ClassVar[str]

    name: str
    spread: Literal["subject", "recording"] | None = None
    stretch: float | None = Field(default=None, gt=0)

    def choose(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Choose windows to label, or stretches, each by one of its windows.

        Args:
            candidates: The windows.
            count: Number of windows or stretches to choose.
            seed: Seed of the draws.

        Returns:
            Their indices, the most wanted first. None has a label or is closed, and no two of them, or of their
            stretches, overlap one another or a window with a label. They are fewer than ``count`` if there are no more
            such windows.

        Raises:
            ValueError: if the strategy needs probabilities and there are none, or a stretch is shorter than a window.
        """
        if self.needs_probabilities and candidates.probabilities is None:
            raise ValueError(
                f"strategy '{self.name}' needs probabilities, and so some labels to begin with; choose the first "
                "windows by cluster_centres"
            )
        rng = np.random.default_rng(seed)
        candidates = candidates.in_stretches(self.stretch)
        compatible = _Compatible(candidates, self.spread, count)
        labelled = candidates.labelled
        chosen: list[int] = []
        while len(chosen) < count and compatible.allowed().any():
            known, missing = candidates.with_labelled(labelled), count - len(chosen)
            for index in islice(self._pick(known, compatible.allowed, missing, rng), missing):
                compatible.add(index)
                chosen.append(index)
                labelled = np.append(labelled, candidates.members(index))
        return np.array(chosen, np.int64)

    def first_by(self, other: BaseStrategy) -> BaseStrategy:
        """Return another strategy with the spread and the stretches of this one, for windows before there is a head."""
        return other.model_copy(update={"spread": self.spread, "stretch": self.stretch})

    @abstractmethod
    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        """Yield windows, the most wanted first: at least one, and if they are fewer than ``count``, it is called again.

        All windows in the stretch of one that is yielded get a label: ``candidates.members``.

        Args:
            candidates: The windows, of which those that have been chosen before are labelled.
            allowed: Which may be yielded next; some may in the beginning.
            count: Number of windows that are wanted.
            rng: Source of the draws.
        """


class _Compatible:
    """Which windows may still be chosen, given those that have been."""

    def __init__(self, candidates: Candidates, spread: str | None, count: int) -> None:
        self._starts, self._ends, self._stretches = candidates.starts, candidates.ends, candidates.stretches
        self._recordings = np.unique(candidates.recordings.astype(str), return_inverse=True)[1]
        groups = {"subject": candidates.subjects, "recording": candidates.recordings}
        named = np.zeros(len(candidates), str) if spread is None else groups[spread].astype(str)
        self._groups = np.unique(named, return_inverse=True)[1]
        closed = self._stretches[candidates.closed]
        self._free: NDArray[np.bool_] = (self._stretches >= 0) & ~np.isin(self._stretches, closed)
        labelled = candidates.labelled
        for index in labelled:
            self._exclude(int(index))
        asked = labelled[np.unique(self._stretches[labelled], return_index=True)[1]]  # one window of each stretch
        self._taken = np.bincount(self._groups[asked], minlength=self._groups.max(initial=0) + 1)
        self._most = -(-(len(asked) + count) // len(self._taken))

    def allowed(self) -> NDArray[np.bool_]:
        """Return which windows may be chosen; if all groups with free windows have their share, it is raised."""
        while self._free.any():
            allowed: NDArray[np.bool_] = self._free & (self._taken < self._most)[self._groups]
            if allowed.any():
                return allowed
            self._most += 1
        return self._free

    def add(self, index: int) -> None:
        """Note that a window is chosen."""
        self._exclude(index)
        self._taken[self._groups[index]] += 1

    def _exclude(self, index: int) -> None:
        """Exclude a window and all that overlap it, with their stretches."""
        overlaps = (self._starts < self._ends[index]) & (self._ends > self._starts[index])
        overlaps &= self._recordings == self._recordings[index]
        excluded = np.zeros(self._stretches.max(initial=0) + 2, bool)  # the last is of windows in no stretch
        excluded[self._stretches[overlaps]] = True
        self._free &= ~excluded[self._stretches]
