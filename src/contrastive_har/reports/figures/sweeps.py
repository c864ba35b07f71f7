"""Scores against the values of one setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure
from contrastive_har.reports.tables import describe_budget
from contrastive_har.scores.selection import LABEL_FREE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_sweep(
    summary: pd.DataFrame,
    histories: pd.DataFrame,
    settings: Mapping[str, float],
    evaluations: Mapping[str, str],
    name: str,
) -> Figure:
    """Draw macro-F1 against a setting, one panel per evaluation, above the measures that need no labels.

    Args:
        summary: Rows of the summary of one split.
        histories: The last epoch of pre-training on that split: method, repeat and label-free measures.
        settings: Value of the setting by method.
        evaluations: Titles of the evaluations.
        name: Name of the setting, for the axis.
    """
    rows = summary[(summary["metric"] == "macro_f1") & summary["method"].isin(list(settings))]
    rows = rows.assign(setting=rows["method"].map(settings))
    shown = list(rows["evaluation"].unique())
    columns = max(len(shown), len(LABEL_FREE))
    figure = new_figure(3.6 * columns, 6.4)
    axes = figure.subplots(2, columns, squeeze=False)
    ticks = sorted(set(settings.values()))
    for axis, evaluation in zip(axes[0], shown, strict=False):
        of_evaluation = rows[rows["evaluation"] == evaluation]
        for (budget, line), colour in zip(of_evaluation.groupby("label_budget", sort=False), COLOURS, strict=False):
            line = line.sort_values("setting")
            places = [ticks.index(value) for value in line["setting"]]
            axis.errorbar(
                places, 100 * line["mean"], 100 * line["sd"], marker="o", color=colour, capsize=2, linewidth=1,
                label=describe_budget(str(budget)),
            )  # fmt: skip
        axis.set_title(evaluations[evaluation], fontsize=9)
    axes[0, 0].set_ylabel("macro-F1 (%)")
    for axis, measure in zip(axes[1], LABEL_FREE, strict=False):
        means = histories.groupby("method")[measure].agg(["mean", "std"]).reindex(list(settings))
        places = [ticks.index(settings[method]) for method in means.index]
        axis.errorbar(places, means["mean"], means["std"], marker="s", color=COLOURS[0], capsize=2, linewidth=1)
        axis.set_title(measure.replace("_", " ") + ", without labels", fontsize=9)
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
            continue
        axis.set_xticks(range(len(ticks)), [f"{tick:g}" for tick in ticks])
        axis.set_xlabel(name)
        axis.grid(**GRID)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure
