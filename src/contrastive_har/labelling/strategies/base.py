"""The base class of strategies, and what they have in common: which windows may be chosen together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contrastive_har.labelling.candidates import Candidates

Allowed = Callable[[], NDArray[np.bool_]]
"""Returns which windows may be chosen now (windows,), given those that have been."""


class BaseStrategy(BaseModel, ABC):
    """Base class of strategies, which are their own settings.

    Attributes:
        spread: Spread the labelled windows over the subjects or the recordings, as evenly as the windows allow; null
            leaves it to the strategy.
        needs_probabilities: Whether it needs probabilities, and so some labels to begin with.
        why: Why a window is chosen, in words for the people who label it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs_probabilities: ClassVar[bool] = False
    why: ClassVar[str]

    name: str
    spread: Literal["subject", "recording"] | None = None

    def choose(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Choose windows to label.

        Args:
            candidates: The windows.
            count: Number of windows to choose.
            seed: Seed of the draws.

        Returns:
            Their indices, the most wanted first. None has a label, and no two of them overlap one another or a window
            with a label. They are fewer than ``count`` if there are no more such windows.

        Raises:
            ValueError: if the strategy needs probabilities and there are none.
        """
        if self.needs_probabilities and candidates.probabilities is None:
            raise ValueError(
                f"strategy '{self.name}' needs probabilities, and so some labels to begin with; choose the first "
                "windows by cluster_centres"
            )
        rng = np.random.default_rng(seed)
        compatible = _Compatible(candidates, self.spread, count)
        labelled = candidates.labelled.tolist()
        chosen: list[int] = []
        while len(chosen) < count and compatible.allowed().any():
            known, missing = candidates.with_labelled(labelled + chosen), count - len(chosen)
            for index in islice(self._pick(known, compatible.allowed, missing, rng), missing):
                compatible.add(index)
                chosen.append(index)
        return np.array(chosen, np.int64)

    @abstractmethod
    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        """Yield windows, the most wanted first: at least one, and if they are fewer than ``count``, it is called again.

        Args:
            candidates: The windows, of which those that have been chosen before are labelled.
            allowed: Which may be yielded next; some may in the beginning.
            count: Number of windows that are wanted.
            rng: Source of the draws.
        """


class _Compatible:
    """Which windows may still be chosen, given those that have been."""

    def __init__(self, candidates: Candidates, spread: str | None, count: int) -> None:
        self._starts, self._ends = candidates.starts, candidates.ends
        self._recordings = np.unique(candidates.recordings.astype(str), return_inverse=True)[1]
        groups = {"subject": candidates.subjects, "recording": candidates.recordings}
        named = np.zeros(len(candidates), str) if spread is None else groups[spread].astype(str)
        self._groups = np.unique(named, return_inverse=True)[1]
        self._taken = np.zeros(self._groups.max(initial=0) + 1, np.int64)  # labelled windows of each group
        self._free = np.ones(len(candidates), bool)
        self._most = -(-(len(candidates.labelled) + count) // len(self._taken))
        for index in candidates.labelled:
            self.add(int(index))

    def allowed(self) -> NDArray[np.bool_]:
        """Return which windows may be chosen; if all groups with free windows have their share, it is raised."""
        while self._free.any():
            allowed: NDArray[np.bool_] = self._free & (self._taken < self._most)[self._groups]
            if allowed.any():
                return allowed
            self._most += 1
        return self._free

    def add(self, index: int) -> None:
        """Note that a window is chosen: those that overlap it, itself included, may not be chosen."""
        overlaps = (self._starts < self._ends[index]) & (self._ends > self._starts[index])
        self._free[overlaps & (self._recordings == self._recordings[index])] = False
        self._taken[self._groups[index]] += 1
