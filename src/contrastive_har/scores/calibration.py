"""How often predictions are right, compared with their probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width between 0 and 1, as Guo et al. 2017 (arXiv 1706.04599) use."""


def reliability(probabilities: NDArray[np.float32], classes: NDArray[np.int64]) -> pd.DataFrame:
    """Return how often predictions are right by their probability.

    Args:
        probabilities: Probabilities of the classes (windows, classes).
        classes: True class indices (windows,).

    Returns:
        One row per bin of the largest probability that has windows: windows (their number), confidence (the mean of
        their largest probabilities), accuracy (the share of right predictions).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    table = pd.DataFrame({"confidence": confidence, "accuracy": probabilities.argmax(axis=1) == classes})
    # A probability of exactly k / 15 is in the lower bin.
    table["bin"] = np.ceil(confidence * BINS).astype(np.int64)
    of_bin = table.groupby("bin")
    return of_bin[["confidence", "accuracy"]].mean().assign(windows=of_bin.size()).reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """Return the expected calibration error: the mean of |accuracy − confidence| over bins, weighted by windows."""
    apart = (bins["accuracy"] - bins["confidence"]).abs()
    return float((apart * bins["windows"]).sum() / bins["windows"].sum())
