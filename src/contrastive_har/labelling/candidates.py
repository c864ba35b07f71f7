"""Candidates: the windows among which those to label are chosen."""

from __future__ import annotations

from collections.abc import Sequence
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
        labelled: Indices of those that have a label already.
        probabilities: Probabilities of the activities (windows, classes), by a head trained on those labels; None
            before there are any.
    """

    embeddings: NDArray[np.float32]
    subjects: NDArray[np.object_]
    recordings: NDArray[np.object_]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labelled: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    probabilities: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of(cls, table: pd.DataFrame, embeddings: NDArray[np.float32]) -> Candidates:
        """Return the windows of a table: subject, recording, start and end (samples), in the order of ``embeddings``.

        Args:
            table: One row per window.
            embeddings: Their embeddings (windows, features).
        """
        text = {name: table[name].to_numpy().astype(object) for name in ("subject", "recording")}
        clock = {name: table[name].to_numpy(np.int64) for name in ("start", "end")}
        return cls(embeddings, text["subject"], text["recording"], clock["start"], clock["end"])

    def with_labelled(
        self, labelled: Sequence[int] | NDArray[np.int64], probabilities: NDArray[np.float32] | None = None
    ) -> Candidates:
        """Return the same windows with others of them labelled; None keeps the ``probabilities``."""
        known = self.probabilities if probabilities is None else probabilities
        return replace(self, labelled=np.asarray(labelled, np.int64), probabilities=known)
