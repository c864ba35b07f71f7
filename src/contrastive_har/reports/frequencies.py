"""Scores of frequent and of rare activities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from contrastive_har.reports.tables import describe_budget, in_percent, name_row
from contrastive_har.scores.table import CLASS, EVERYTHING
from contrastive_har.signals.budgets import parse_budget, sort_budgets

THIRDS = ("many", "medium", "few")
"""Thirds of the activities, by their number of windows in the data set."""


@dataclass(frozen=True)
class FrequencyTable:
    """Mean F1 of each third of the activities.

    Attributes:
        title: Split and label budget.
        rows: (method and evaluation, formatted scores of the thirds).
    """

    title: str
    rows: list[tuple[str, list[str]]]


def divide_by_frequency(windows: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the activities in three parts of equal size, or nearly, given their numbers of windows.

    Of equally frequent activities those named first come first. Where three do not divide the activities, the first
    parts have one more.
    """
    names = sorted(windows, key=lambda name: -windows[name])
    parts = np.array_split(np.arange(len(names)), len(THIRDS))
    return {third: [names[index] for index in part] for third, part in zip(THIRDS, parts, strict=True)}


def frequency_tables(
    scores: pd.DataFrame,
    windows: Mapping[str, int],
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
) -> list[FrequencyTable]:
    """Return mean F1 of the thirds, mean ± standard deviation over repeats: a table per split and label budget.

    The label budgets are the smallest share and all long tails; without a long tail, or with fewer than three
    activities, there is no table.

    Args:
        scores: Long scores.
        windows: Number of windows in the data set by activity.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
        splits: Titles of the splits by name.
    """
    known = sort_budgets(list(scores["label_budget"].unique()))
    tails = [name for name in known if parse_budget(name).kind == "long_tail"]
    if not tails or len(windows) < len(THIRDS):
        return []
    shares = [name for name in known if parse_budget(name).kind == "share"]
    third = {f"{CLASS}{name}": part for part, names in divide_by_frequency(windows).items() for name in names}
    rows = scores[(scores["metric"] == "f1") & (scores["group"] != EVERYTHING)]
    rows = rows.assign(third=rows["group"].map(third))
    cell = ["split", "label_budget", "method", "evaluation", "third"]
    by_repeat = rows.groupby([*cell, "repeat"], sort=False)["value"].mean()
    cells = by_repeat.groupby(level=cell, sort=False).agg(["mean", "std"]).reset_index()
    tables = []
    for split, budget in product(splits, [*shares[:1], *tails]):
        of_table = cells[(cells["split"] == split) & (cells["label_budget"] == budget)]
        lines = [
            (name_row(methods[method], evaluations[evaluation]), _format(of_row))
            for (method, evaluation), of_row in of_table.groupby(["method", "evaluation"], sort=False)
        ]
        if lines:
            tables.append(FrequencyTable(f"{splits[split]}, {describe_budget(budget)}", lines))
    return tables


def _format(of_row: pd.DataFrame) -> list[str]:
    by_third = of_row.set_index("third")
    return [f"{in_percent(by_third['mean'][third])} ± {in_percent(by_third['std'][third])}" for third in THIRDS]
