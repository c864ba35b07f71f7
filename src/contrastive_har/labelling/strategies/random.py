"""At random: what one does without a strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies.base import Allowed, BaseStrategy


class Random(BaseStrategy):
    """Draws windows at random, each equally likely."""

    why: ClassVar[str] = "drawn at random"

    name: Literal["random"] = "random"

    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        for index in rng.permutation(np.flatnonzero(allowed())):
            if allowed()[index]:
                yield int(index)
