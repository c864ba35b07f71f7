"""Core-set: windows that leave no other far from all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies.base import Allowed, BaseStrategy


class CoreSet(BaseStrategy):
    """Chooses the window that is farthest from all windows with a label, again and again.

    The greedy solution of the k-centre problem (Sener and Savarese 2018, arXiv 1708.00489, algorithm 1). Without any
    label, the first window is drawn at random.
    """

    why: ClassVar[str] = "far from all windows with a label"

    name: Literal["core_set"] = "core_set"

    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        points = candidates.embeddings
        nearest = np.full(len(points), np.inf)
        for labelled in candidates.labelled:
            nearest = np.minimum(nearest, np.linalg.norm(points - points[labelled], axis=1))
        while (free := allowed()).any():
            is_first = np.isinf(nearest[0])
            index = int(rng.choice(np.flatnonzero(free)) if is_first else np.where(free, nearest, -1.0).argmax())
            yield index
            for labelled in candidates.members(index):
                nearest = np.minimum(nearest, np.linalg.norm(points - points[labelled], axis=1))
