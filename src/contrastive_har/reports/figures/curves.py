"""Curves: scores against labels and budgets, losses against epochs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure, say_empty
from contrastive_har.reports.tables import name_row
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.budgets import parse_budget

_STYLES = ("-", "--", ":", "-.")  # of the evaluations' lines
_SPREAD = 1.15  # factor by which points of several lines are set apart on a logarithmic axis
# Inches of a legend at 8 points: the sample of a line with its gaps, a letter, a row.
_LEGEND_LINE, _LEGEND_LETTER, _LEGEND_ROW = 0.6, 0.065, 0.17
_BUDGET_AXES = {
    "share": "labelled windows (%)",
    "per_class": "labelled windows per class",
    "long_tail": "ratio of most to fewest labels per class",
    "subjects": "labelled subjects (%)",
}


def draw_label_efficiency(
    summary: pd.DataFrame, titles: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw macro-F1 and its interval against the labels, one panel per split and kind of label budget with a size.

    Args:
        summary: One row per cell and metric.
        titles: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    rows = summary[summary["metric"] == "macro_f1"]
    budgets = [parse_budget(str(name)) for name in rows["label_budget"]]
    rows = rows.assign(kind=[budget.kind for budget in budgets], size=[budget.size for budget in budgets])
    rows = rows[rows["kind"].isin(list(_BUDGET_AXES))]
    kinds = [kind for kind in _BUDGET_AXES if (rows["kind"] == kind).any()]
    panels = [(split, kind) for kind in kinds for split in splits]
    if not panels:
        figure = new_figure(5.4, 3.6)
        say_empty(figure.subplots(), "no data: no label budget of this run has a size")
        return figure
    cells = rows[["method", "evaluation"]].drop_duplicates().itertuples(index=False)
    names = [name_row(titles[str(method)], evaluations[str(evaluation)]) for method, evaluation in cells]
    width = 5.4 * len(panels)
    columns = min(3, max(1, int(width / (_LEGEND_LINE + max(map(len, names)) * _LEGEND_LETTER))))
    figure = new_figure(width, 3.6 + -(-len(names) // columns) * _LEGEND_ROW)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (split, kind) in zip(axes, panels, strict=True):
        of_kind = rows[rows["kind"] == kind]
        _draw_lines(axis, of_kind[of_kind["split"] == split], titles, evaluations)
        axis.set(title=splits[split], xscale="log", xlabel=_BUDGET_AXES[kind])
        ticks = sorted(of_kind["size"].unique())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(**GRID)
    axes[0].set_ylabel("macro-F1 (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    return figure


def _draw_lines(axis: Axes, rows: pd.DataFrame, titles: Mapping[str, str], evaluations: Mapping[str, str]) -> None:
    """Draw one line per method and evaluation."""
    lines = list(rows.groupby(["method", "evaluation"], sort=False))
    for index, ((method, evaluation), line) in enumerate(lines):
        line = line.sort_values("size")
        # Points of several lines are set apart, so that their intervals can be distinguished.
        x = line["size"] * _SPREAD ** ((2 * index + 1) / len(lines) - 1)
        y = 100 * line["mean"]
        errors = np.nan_to_num(np.stack([y - 100 * line["low"], 100 * line["high"] - y])).clip(min=0)
        axis.errorbar(
            x,
            y,
            errors,
            linestyle=_STYLES[list(evaluations).index(str(evaluation)) % len(_STYLES)],
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.3,
            color=COLOURS[list(titles).index(str(method)) % len(COLOURS)],
            label=name_row(titles[str(method)], evaluations[str(evaluation)]),
        )


def draw_budgets(rows: pd.DataFrame, evaluations: Mapping[str, str], splits: Mapping[str, str]) -> Figure:
    """Draw macro-F1 against epochs of pre-training, one panel per split and evaluation, one line per batch size.

    Args:
        rows: Rows of the summary, with columns epochs and batch_size.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    panels = list(rows.groupby(["split", "evaluation"], sort=False))
    figure = new_figure(4.6 * max(1, len(panels)), 3.6)
    axes = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
    for axis, ((split, evaluation), panel) in zip(axes, panels, strict=False):
        for (size, line), colour in zip(panel.groupby("batch_size"), COLOURS, strict=False):
            line = line.sort_values("epochs")
            axis.plot(line["epochs"], 100 * line["mean"], marker="o", color=colour, label=f"batch {size}")
        axis.set(title=f"{splits[str(split)]}, {evaluations[str(evaluation)].lower()}", xlabel="epochs", xscale="log")
        ticks = sorted(panel["epochs"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.grid(**GRID)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("macro-F1 (%)")
    return figure


def draw_loss_curves(
    histories: Mapping[Cell, pd.DataFrame], titles: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw the pre-training loss by epoch, one panel per method, one line per split and repeat.

    Args:
        histories: Histories by cell.
        titles: Titles of the methods.
        splits: Titles of the splits.
    """
    return _draw_histories(histories, titles, splits, "loss", "training loss")


def draw_cluster_agreement(
    histories: Mapping[Cell, pd.DataFrame], titles: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw the normalised mutual information of clusters and true activities by epoch."""
    clustered = {cell: history for cell, history in histories.items() if history["cluster_nmi"].notna().any()}
    return _draw_histories(clustered, titles, splits, "cluster_nmi", "normalised mutual information")


def _draw_histories(
    histories: Mapping[Cell, pd.DataFrame],
    titles: Mapping[str, str],
    splits: Mapping[str, str],
    column: str,
    label: str,
) -> Figure:
    trained = {(cell.split, cell.method): history for cell, history in histories.items() if len(history)}
    methods = list(dict.fromkeys(method for _, method in trained))
    figure = new_figure(5.4 * max(1, len(methods)), 3.4)
    axes = figure.subplots(1, max(1, len(methods)), squeeze=False)[0]
    if not methods:
        say_empty(axes[0], "no data: no method of this run records it")
        return figure
    for axis, method in zip(axes, methods, strict=True):
        for (split, title), colour in zip(splits.items(), COLOURS, strict=False):
            history = trained.get((split, method))
            if history is None:
                continue
            for repeat, rows in history.groupby("repeat"):
                axis.plot(rows["epoch"], rows[column], color=colour, alpha=0.8, label=title if repeat == 0 else None)
        axis.set(title=titles[method], xlabel="epoch")
        axis.grid(**GRID)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel(label)
    return figure
