"""Classification metrics from a confusion matrix, which makes them fast for thousands of epochs and subjects.

A matrix may have a further column, of windows for which no class is predicted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(true: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return counts (classes, classes); rows are true classes, columns predicted ones."""
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def f1_by_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of each class (classes,), NaN for a class that is neither present nor predicted."""
    support = confusion.sum(1) + confusion.sum(0)[: len(confusion)]
    with np.errstate(invalid="ignore"):
        return np.where(support > 0, 2 * np.diag(confusion) / support, np.nan)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes present or predicted."""
    return float(np.nanmean(f1_by_class(confusion)))


def weighted_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 weighted by how often each class occurs."""
    return float(np.nansum(f1_by_class(confusion) * confusion.sum(1)) / confusion.sum())


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the share of correct predictions, which is also micro-averaged F1."""
    return float(np.diag(confusion).sum() / confusion.sum())


def cohen_kappa(confusion: NDArray[np.int64]) -> float:
    """Return Cohen's kappa: agreement beyond what the class frequencies give by chance; NaN with one class."""
    total = confusion.sum()
    by_chance = float(confusion.sum(0) @ confusion.sum(1)) / total**2
    return (accuracy(confusion) - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


METRICS = {"macro_f1": macro_f1, "accuracy": accuracy, "weighted_f1": weighted_f1, "cohen_kappa": cohen_kappa}
"""Metrics of a whole test set, the primary one first."""
