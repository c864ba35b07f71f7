"""Comparisons of methods: paired tests over repeats.

Repeats are paired: all methods start from the same weights, see the same labels and are tested on the same subjects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its parts are imported when they are used, which takes long
from numpy.typing import NDArray

from contrastive_har.scores.cells import parse_evaluation
from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval
from contrastive_har.scores.table import EVERYTHING
from contrastive_har.signals.seeds import derive_seed

COLUMNS = [
    "split",
    "evaluation",
    "label_budget",
    "method",
    "other",
    "repeats",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "rank_biserial",
]
"""Columns of a table of comparisons; ``difference`` is the mean of ``method`` minus ``other``, paired by repeat."""


@dataclass(frozen=True)
class Family:
    """Methods that are compared with one another: on one split, by one evaluation, with one label budget.

    Attributes:
        split: Name of the split.
        evaluation: Name of the evaluation; a method with a single evaluation of these modalities is compared by it.
        label_budget: Name of the label budget.
        scores: Macro-F1 of each repeat (repeats, methods), one column per method.
    """

    split: str
    evaluation: str
    label_budget: str
    scores: pd.DataFrame


def families(scores: pd.DataFrame) -> Iterator[Family]:
    """Find all families of at least two methods in long scores."""
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == EVERYTHING)]
    modalities = whole["evaluation"].map(lambda name: parse_evaluation(name)[1])
    for _, of_modalities in whole.groupby(modalities, sort=False):
        yield from _families_of(of_modalities)


def _families_of(whole: pd.DataFrame) -> Iterator[Family]:
    """Find the families among scores of the same modalities."""
    evaluations = whole.groupby("method", sort=False)["evaluation"].agg(["nunique", "first"])
    single = evaluations.index[evaluations["nunique"] == 1]
    shared = whole.groupby("evaluation", sort=False)["method"].nunique()
    # Where no two methods share an evaluation, all are compared by their only ones.
    candidates = list(shared.index[shared > 1]) or list(shared.index[:1])
    for (split, budget), rows in whole.groupby(["split", "label_budget"], sort=False):
        seen: list[pd.Index] = []
        for evaluation in candidates:
            if evaluation not in set(rows["evaluation"]):
                continue
            selected = rows[(rows["evaluation"] == evaluation) | rows["method"].isin(single)]
            if selected["method"].nunique() < 2 or any(selected.index.equals(other) for other in seen):
                continue
            seen.append(selected.index)
            wide = selected.pivot(index="repeat", columns="method", values="value")[list(selected["method"].unique())]
            yield Family(str(split), str(evaluation), str(budget), wide)


def compare(scores: pd.DataFrame, reference: str, settings: ReportSettings) -> pd.DataFrame:
    """Compare a method with every other in every family.

    Wilcoxon's signed-rank test over repeats, exact for few repeats; p-values are corrected by Holm's method within a
    family; the effect size is the matched-pairs rank-biserial correlation (Kerby 2014), from -1 to 1.

    Args:
        scores: Long scores.
        reference: The method to compare; families without it are left out.
        settings: Confidence level and resamples of the intervals.
    """
    rows = []
    for family in families(scores):
        if reference not in family.scores:
            continue
        row = {
            "split": family.split,
            "evaluation": family.evaluation,
            "label_budget": family.label_budget,
        }
        pairs = [
            {**row, "method": reference, "other": other, **compare_pair(family.scores, reference, other, settings)}
            for other in family.scores.columns.drop(reference)
        ]
        for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
            rows.append({**pair, "p_holm": p})
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_pair(scores: pd.DataFrame, first: str, second: str, settings: ReportSettings) -> dict[str, float]:
    """Compare two columns of ``scores`` (repeats, methods), paired by row: the values of ``COLUMNS`` but ``p_holm``.

    Repeats that one of them lacks are left out.
    """
    differences = (scores[first] - scores[second]).dropna().to_numpy()
    return compare_differences(differences, np.random.default_rng(derive_seed(settings.seed, first, second)), settings)


def compare_differences(
    differences: NDArray[np.float64], rng: np.random.Generator, settings: ReportSettings
) -> dict[str, float]:
    """Describe paired differences (repeats,): the values of ``COLUMNS`` but ``p_holm``.

    Args:
        differences: One per repeat.
        rng: Draws the resamples of the interval.
        settings: Confidence level and number of resamples.
    """
    low, high = bootstrap_interval(differences, settings.confidence, settings.resamples, rng)
    tested = bool(differences.any())
    return {
        "repeats": len(differences),
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "p": float(scipy.stats.wilcoxon(differences).pvalue) if tested else 1.0,
        "rank_biserial": rank_biserial(differences),
    }


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """Return the share of positive rank sums minus the share of negative ones; zero if nothing differs."""
    different = differences[differences != 0]
    if not len(different):
        return 0.0
    ranks = scipy.stats.rankdata(np.abs(different))
    return float((ranks[different > 0].sum() - ranks[different < 0].sum()) / ranks.sum())


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method (Holm 1979)."""
    corrected = np.ones(len(p_values))
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected.tolist()


def least_repeats(comparisons: int, level: float) -> int:
    """Return the fewest repeats for which Wilcoxon's exact test can reach ``level`` in one of the comparisons."""
    return int(np.ceil(np.log2(2 * comparisons / level)))


def critical_difference(methods: int, repeats: int, level: float) -> float:
    """Return the critical difference of mean ranks (Nemenyi; Demsar 2006, JMLR 7, section 3.2.2)."""
    quantile = scipy.stats.studentized_range.ppf(1 - level, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * repeats)))
