"""Margin: the windows of which a head is the least sure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies.base import Allowed, BaseStrategy


class Margin(BaseStrategy):
    """Chooses windows whose two most probable activities are nearly equally probable.

    Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction, IDA 2001.
    """

    needs_probabilities: ClassVar[bool] = True
    why: ClassVar[str] = "the head hesitates between two activities"

    name: Literal["margin"] = "margin"

    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        ordered = np.sort(np.asarray(candidates.probabilities), axis=1)
        for index in np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable"):
            if allowed()[index]:
                yield int(index)
