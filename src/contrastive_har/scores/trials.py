"""Trials of strategies that choose the windows to label: summary, paired tests, and what a label is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.scores.comparisons import compare_pair, holm
from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval
from contrastive_har.signals.seeds import derive_seed

TRIAL = ["dataset", "protocol", "split", "method"]
"""Columns that identify the encoders of a trial."""

AREA = "area"
"""The area under the curve of macro-F1 over the logarithm of the labels, divided by its width: a mean macro-F1."""

_CURVE = ["split", "method", "wrong_labels"]
_DRAW = ["repeat", "draw"]
_COSTS = ["signal_seconds", "seconds"]
SUMMARY_COLUMNS = [
    *(*_CURVE, "strategy", "measure", "labels", "trials", "mean", "sd", "low", "high"),
    *("signal_seconds", "seconds", "worth"),
]
COMPARISON_COLUMNS = [
    *(*_CURVE, "measure", "labels", "strategy", "other", "repeats"),
    *("difference", "low", "high", "p", "p_holm", "rank_biserial"),
]


def area(labels: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Return the mean of a curve over the logarithm of ``labels``, by trapezoids; of one point, its value."""
    if len(labels) == 1:
        return float(values[0])
    place = np.log(labels)
    return float(np.trapezoid(values, place) / (place[-1] - place[0]))


def measures(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the macro-F1 of all trials and the areas under their curves.

    Args:
        trials: split, method, wrong_labels, strategy, repeat, draw, labels, macro_f1, signal_seconds and seconds.

    Returns:
        One row per trial and ``measure``: ``value``, and ``labels``, which is 0 for an area.
    """
    keys = [*_CURVE, "strategy", *_DRAW]
    points = trials[[*keys, "labels", "macro_f1", *_COSTS]].rename(columns={"macro_f1": "value"})
    curves = [
        {
            **dict(zip(keys, values, strict=True)),
            "labels": 0,
            "value": area(curve["labels"].to_numpy(), curve["value"].to_numpy()),
            **curve[_COSTS].max(),
        }
        for values, curve in points.sort_values("labels").groupby(keys, sort=False)
    ]
    return pd.concat([points.assign(measure="macro_f1"), pd.DataFrame(curves).assign(measure=AREA)], ignore_index=True)


def summarise_trials(trials: pd.DataFrame, reference: str, settings: ReportSettings) -> pd.DataFrame:
    """Return mean, standard deviation, interval and cost of each strategy, and what its labels are worth.

    Args:
        trials: As for :func:`measures`.
        reference: The strategy in whose labels the others are counted.
        settings: Confidence level and resamples of the intervals.

    Returns:
        ``SUMMARY_COLUMNS``. ``worth`` is the number of labels with which the reference has the same mean macro-F1,
        interpolated over their logarithm: NaN if its curve begins above, infinite if it ends below.
    """
    rows = []
    keys = [*_CURVE, "strategy", "measure", "labels"]
    for values, group in measures(trials).groupby(keys, sort=False):
        scores = group["value"].to_numpy(np.float64)
        rng = np.random.default_rng(derive_seed(settings.seed, *values))
        low, high = bootstrap_interval(scores, settings.confidence, settings.resamples, rng)
        row = {"trials": len(scores), "mean": scores.mean(), "low": low, "high": high}
        row |= {"sd": scores.std(ddof=1) if len(scores) > 1 else float("nan"), **group[_COSTS].mean()}
        rows.append({**dict(zip(keys, values, strict=True)), **row})
    summary = pd.DataFrame(rows)
    points = summary[summary["measure"] == "macro_f1"]
    curves = {
        key: curve.sort_values("labels")
        for key, curve in points[points["strategy"] == reference].groupby(_CURVE, sort=False)
    }
    worth = [
        labels_with(curves[key], mean) if measure == "macro_f1" else float("nan")
        for *key_, measure, mean in summary[[*_CURVE, "measure", "mean"]].itertuples(index=False)
        for key in [tuple(key_)]
    ]
    return summary.assign(worth=worth)[SUMMARY_COLUMNS]


def labels_with(curve: pd.DataFrame, value: float) -> float:
    """Return the least number of labels with which a curve (labels ascending, mean) reaches a value."""
    labels, means = np.log(curve["labels"].to_numpy(np.float64)), curve["mean"].to_numpy(np.float64)
    reached = np.flatnonzero(means >= value)
    if not len(reached):
        return float("inf")
    index = int(reached[0])
    if index == 0:
        return float(np.exp(labels[0])) if means[0] == value else float("nan")
    share = (value - means[index - 1]) / (means[index] - means[index - 1])
    return float(np.exp(labels[index - 1] + share * (labels[index] - labels[index - 1])))


def compare_trials(trials: pd.DataFrame, reference: str, settings: ReportSettings) -> pd.DataFrame:
    """Compare every strategy with one of them, paired by repeat and draw.

    Wilcoxon's signed-rank test as in :func:`contrastive_har.scores.comparisons.compare`; p-values are corrected by
    Holm's method over the strategies. Draws of one repeat share encoder and test subjects: the tests say whether
    strategies differ for these, not for other people.

    Args:
        trials: As for :func:`measures`.
        reference: The strategy that all others are compared with.
        settings: Confidence level and resamples of the intervals.

    Returns:
        ``COMPARISON_COLUMNS``; ``difference`` is the mean of ``strategy`` minus ``other``, the reference.
    """
    rows = []
    keys = [*_CURVE, "measure", "labels"]
    for values, family in measures(trials).groupby(keys, sort=False):
        wide = family.pivot(index=_DRAW, columns="strategy", values="value")[list(family["strategy"].unique())]
        pairs = [
            {"strategy": strategy, "other": reference, **compare_pair(wide, strategy, reference, settings)}
            for strategy in wide.columns.drop(reference)
        ]
        for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
            rows.append({**dict(zip(keys, values, strict=True)), **pair, "p_holm": p})
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
