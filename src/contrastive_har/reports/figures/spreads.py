"""Scores by subject, and ranks of methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy  # its parts are imported when they are used, which takes long

from contrastive_har.reports.figures.style import COLOURS, GRID, empty_figure, new_figure
from contrastive_har.reports.tables import describe_budget, name_row
from contrastive_har.scores.comparisons import critical_difference, families
from contrastive_har.scores.table import SUBJECT

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_subjects(
    scores: pd.DataFrame, budget: str, titles: Mapping[str, str], evaluations: Mapping[str, str]
) -> Figure:
    """Draw each test subject's macro-F1 by method and evaluation on one split; the lowest on average is named."""
    rows = scores[
        (scores["metric"] == "macro_f1") & (scores["label_budget"] == budget) & scores["group"].str.startswith(SUBJECT)
    ]
    groups = list(rows.groupby(["method", "evaluation"], sort=False))
    figure = new_figure(8.5, 0.55 * len(groups) + 1.2)
    axis = figure.subplots()
    labels = []
    for row, ((method, evaluation), values_of_row) in enumerate(groups):
        values = 100 * values_of_row["value"].to_numpy()
        spread = np.random.default_rng(row).uniform(-0.18, 0.18, len(values))
        colour = COLOURS[list(titles).index(str(method)) % len(COLOURS)]
        axis.scatter(values, row + spread, s=14, alpha=0.6, color=colour)
        axis.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color="black", linewidth=1.5)
        lowest = values_of_row.groupby("group")["value"].mean().sort_values().head(1)
        for group, value in lowest.items():
            name = str(group).removeprefix(SUBJECT)
            axis.annotate(name, (100 * value, row - 0.32), ha="center", fontsize=7, color="#444444")
        labels.append(name_row(titles[str(method)], evaluations[str(evaluation)]))
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 101)
    axis.set_xlabel("macro-F1 of one subject in one repeat (%)")
    axis.grid(axis="x", **GRID)
    return figure


def draw_critical_differences(
    scores: pd.DataFrame, split: str, methods: Mapping[str, str], evaluations: Mapping[str, str], level: float
) -> Figure:
    """Draw mean ranks of the methods on a split, one panel per family.

    Bars join methods that Nemenyi's test does not distinguish; the title has the p-value of Friedman's test of any
    difference. Families with fewer than five repeats or three methods are left out.
    """
    drawn = [
        family
        for family in families(scores)
        if family.split == split and len(family.scores) >= 5 and len(family.scores.columns) >= 3
    ]
    if not drawn:
        return empty_figure("This figure needs at least five repeats and three methods.")
    height = 0.8 + 0.24 * max(len(family.scores.columns) for family in drawn)
    figure = new_figure(8.5, height * len(drawn))
    axes = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
    for axis, family in zip(axes, drawn, strict=True):
        ranks = family.scores.rank(axis=1, ascending=False).mean().sort_values()
        p = scipy.stats.friedmanchisquare(*family.scores.to_numpy().T).pvalue
        gap = critical_difference(len(ranks), len(family.scores), level)
        names = [methods[str(name)] for name in ranks.index]
        lines = np.arange(len(ranks))
        axis.scatter(ranks, lines, color="black", s=18, zorder=3)
        for start in lines:
            last = int(np.flatnonzero(ranks.to_numpy() - ranks.iloc[start] <= gap)[-1])
            if last > start:
                axis.plot([ranks.iloc[start], ranks.iloc[last]], [start, start], color="#c44", linewidth=2, alpha=0.6)
        axis.set_yticks(lines, names, fontsize=8)
        axis.invert_yaxis()
        axis.set_xlim(0.7, len(ranks) + 0.3)
        title = f"{evaluations[family.evaluation]}, {describe_budget(family.label_budget)}"
        axis.set_title(f"{title}: Friedman p = {p:.2g}, critical difference {gap:.2f}", fontsize=9)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes[-1].set_xlabel("mean rank over repeats (1 is best)")
    return figure
