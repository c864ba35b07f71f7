"""Which activities and subjects are hard: by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from contrastive_har.reports.charts.scores import subject_means
from contrastive_har.reports.tables import in_percent
from contrastive_har.scores.table import CLASS

_NAMED = 3  # most names in a sentence


def hard_activities(
    scores: pd.DataFrame, budget: str, splits: Mapping[str, str], untested: Mapping[str, Mapping[str, Sequence[int]]]
) -> dict[str, str]:
    """Return a sentence per split, by its title: the tested activities with the lowest mean F1 of all rows.

    Args:
        scores: Scores of all rows.
        budget: Name of the label budget.
        splits: Titles of the splits.
        untested: By split and activity, the repeats without a test window of it.
    """
    rows = scores[(scores["metric"] == "f1") & (scores["label_budget"] == budget)]
    rows = rows[rows["group"].str.startswith(CLASS)]
    rows = rows.assign(name=rows["group"].str.removeprefix(CLASS))
    left_out = {(split, name, repeat) for split, of in untested.items() for name, some in of.items() for repeat in some}
    keys = zip(rows["split"], rows["name"], rows["repeat"], strict=True)
    rows = rows[[key not in left_out for key in keys]]
    return {title: _sentence(rows[rows["split"] == split], "activities", "F1") for split, title in splits.items()}


def hard_subjects(scores: pd.DataFrame, budget: str, splits: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence per split, by its title: the test subjects with the lowest mean macro-F1 of all rows."""
    sentences = {}
    for split, title in splits.items():
        means = subject_means(scores[scores["split"] == split], budget)
        sentences[title] = _sentence(means.assign(name=means["subject"]), "subjects", "macro-F1")
    return sentences


def _sentence(rows: pd.DataFrame, what: str, metric: str) -> str:
    means = rows.groupby("name")["value"].mean().sort_values()
    if means.empty:
        return f"No {what} were tested."
    named = [f"{name} ({in_percent(value)})" for name, value in means.head(min(_NAMED, len(means) - 1 or 1)).items()]
    return (
        f"Hardest {what} by mean {metric} over all rows: {', '.join(named)}; the mean of all {len(means)} {what} is "
        f"{in_percent(means.mean())}."
    )
