"""When to stop: what a head knows by now, and what further labels would add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from contrastive_har.labelling.heads import LabelledHead
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.scores.statistics import bootstrap_interval
from contrastive_har.signals.seeds import derive_seed

CURVE_COLUMNS = ["labels", "macro_f1", "low", "high"]
_FOLDS = 5
_FEWEST_ROUNDS = 4  # points that a curve of three parameters needs, and one to disagree
_STEEPEST, _FLATTEST = 2.0, 0.05  # exponents of learning curves that are tried


@dataclass(frozen=True)
class Labelled:
    """The labelled windows, in the order in which they were labelled.

    Attributes:
        embeddings: Their embeddings, float32 (windows, features).
        classes: Their class indices (windows,).
        people: Who wore the sensors (windows,).
    """

    embeddings: NDArray[np.float32]
    classes: NDArray[np.int64]
    people: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.classes)

    def first(self, count: int) -> Labelled:
        """Return the first windows."""
        return Labelled(self.embeddings[:count], self.classes[:count], self.people[:count])


def cross_validate(
    labelled: Labelled, head: LabelledHead, seed: int, confidence: float = 0.95, resamples: int = 1000
) -> tuple[float, float, float]:
    """Return macro-F1 on people whose labels the head has not seen, and its interval.

    The people are divided into five groups, or as many as there are; each group in turn is predicted by a head that was
    fitted to the others. The interval is that of the mean over people of their own macro-F1, around the macro-F1 of all
    windows.

    Args:
        labelled: The labelled windows.
        head: The head, not fitted.
        seed: Seed of the groups and of the bootstrap.
        confidence: Confidence level of the interval.
        resamples: Number of bootstrap resamples.

    Returns:
        Macro-F1, and the ends of its interval; all NaN with fewer than two people.
    """
    names, person = np.unique(labelled.people.astype(str), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(derive_seed(seed, "people"))
    fold = (rng.permutation(len(names)) % min(_FOLDS, len(names)))[person]
    predicted = np.empty(len(labelled), np.int64)
    for held_out in np.unique(fold):
        train, test = fold != held_out, fold == held_out
        fitted = head.fit(torch.from_numpy(labelled.embeddings[train]), labelled.classes[train], seed)
        predicted[test] = fitted(torch.from_numpy(labelled.embeddings[test])).argmax(1)

    def score(chosen: NDArray[np.bool_]) -> float:
        return macro_f1(confusion_matrix(labelled.classes[chosen], predicted[chosen], head.class_count))

    whole = score(np.ones(len(labelled), bool))
    of_people = np.array([score(person == index) for index in range(len(names))])
    low, high = bootstrap_interval(of_people, confidence, resamples, rng)
    shift = whole - of_people.mean()
    return whole, max(0.0, low + shift), min(1.0, high + shift)


def learning_curve(labelled: Labelled, head: LabelledHead, seed: int) -> pd.DataFrame:
    """Return the cross-validated macro-F1 after a number of labels that doubles, and after all: ``CURVE_COLUMNS``."""
    counts = [len(labelled)]
    while counts[-1] // 2 >= head.class_count:
        counts.append(counts[-1] // 2)
    rows = [(count, *cross_validate(labelled.first(count), head, seed)) for count in reversed(counts)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


@dataclass(frozen=True)
class Forecast:
    """What further labels would add.

    Attributes:
        gain: Expected rise of macro-F1; NaN if it cannot be told.
        text: The same in a sentence.
    """

    gain: float
    text: str


def forecast(curve: pd.DataFrame, more: int) -> Forecast:
    """Forecast what ``more`` labels add, by a power law ``a - b labels^(-c)`` that is fitted to a learning curve.

    Args:
        curve: Learning curve: labels and macro_f1.
        more: Number of further labels.
    """
    known = curve.dropna(subset=["macro_f1"])
    labels, scores = known["labels"].to_numpy(np.float64), known["macro_f1"].to_numpy(np.float64)
    if len(known) < _FEWEST_ROUNDS:
        return Forecast(
            float("nan"),
            f"{len(known)} points of the learning curve are too few for a forecast; it needs {_FEWEST_ROUNDS}, each of "
            "twice the labels, with labels of at least two people.",
        )
    _, slope, exponent = fit_power_law(labels, scores)
    rise = slope * (labels[-1] ** -exponent - (labels[-1] + more) ** -exponent)
    gain = float(min(rise, 1 - scores[-1]))
    return Forecast(gain, f"{more} more labels are expected to add {100 * gain:.1f} to macro-F1 (power law).")


def fit_power_law(
    labels: NDArray[np.float64], scores: Sequence[float] | NDArray[np.float64]
) -> tuple[float, float, float]:
    """Fit ``limit - slope labels^(-exponent)`` by least squares.

    The exponent is searched; the limit, at most 1, and the slope, at least 0, are linear in it.

    Returns:
        Limit, slope and exponent.
    """
    target = np.asarray(scores, np.float64)
    best = (np.inf, 0.0, 0.0, 1.0)
    for exponent in np.geomspace(_FLATTEST, _STEEPEST, 200):
        power = labels**-exponent
        slope = max(0.0, -float(np.cov(power, target, bias=True)[0, 1] / power.var()))
        limit = float(target.mean() + slope * power.mean())
        if limit > 1:
            limit, slope = 1.0, max(0.0, float((power @ (1 - target)) / (power @ power)))
        error = float(((limit - slope * power - target) ** 2).sum())
        best = min(best, (error, limit, slope, float(exponent)))
    return best[1:]
