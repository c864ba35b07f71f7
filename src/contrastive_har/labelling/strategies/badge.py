"""BADGE: windows that would change a head much, and in different ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies.base import Allowed, BaseStrategy


class Badge(BaseStrategy):
    """Chooses windows by k-means++ seeding on the gradients of a linear head.

    Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020 (arXiv 1906.03671, algorithm 1): the gradient of the
    cross-entropy by the head's weights is ``(probabilities - one_hot(most probable)) x embedding``. As in the authors'
    code, the first window is the one with the largest gradient; each next one is drawn in proportion to its squared
    distance from the nearest of those before it. Distances follow from the two factors, without the products.
    """

    needs_probabilities: ClassVar[bool] = True
    why: ClassVar[str] = "would change the head much"

    name: Literal["badge"] = "badge"

    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        errors = np.array(candidates.probabilities, np.float64)
        errors[np.arange(len(errors)), errors.argmax(1)] -= 1
        embeddings = candidates.embeddings.astype(np.float64)
        squares = (errors**2).sum(1) * (embeddings**2).sum(1)

        def distances(index: int) -> NDArray[np.float64]:
            """Return squared distances of all gradients from one of them (windows,)."""
            products = (errors @ errors[index]) * (embeddings @ embeddings[index])
            return np.asarray(np.maximum(squares + squares[index] - 2 * products, 0.0))

        index = int(np.where(allowed(), squares, -1.0).argmax())
        nearest = np.full(len(squares), np.inf)
        yield index
        while (free := allowed()).any():
            for labelled in candidates.members(index):
                nearest = np.minimum(nearest, distances(labelled))
            weights = np.where(free, nearest, 0.0)
            if not weights.any():  # all others have the same gradient
                weights = free.astype(np.float64)
            index = int(rng.choice(len(weights), p=weights / weights.sum()))
            yield index
