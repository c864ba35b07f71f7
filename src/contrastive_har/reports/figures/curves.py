"""Curves: scores against labels and budgets, losses against epochs."""

from __future__ import annotations

import textwrap
from collections.abc import KeysView, Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, MARKERS, arrange, empty_figure, new_figure
from contrastive_har.reports.tables import name_row
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.budgets import parse_budget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = ("-", "--", ":", "-.")  # of the evaluations' lines
_HISTORIES_WIDE = 3  # panels in a row
_SPREAD = 1.15  # factor by which points of several lines are set apart on a logarithmic axis
# Inches of a legend at 8 points: the sample of a line with its gaps, a letter, a row.
_LEGEND_LINE, _LEGEND_LETTER, _LEGEND_ROW = 0.6, 0.065, 0.17
BUDGET_AXES = {
    "share": "labelled windows (%)",
    "per_class": "labelled windows per class",
    "long_tail": "ratio of most to fewest labels per class",
    "subjects": "labelled subjects (%)",
}
"""Names of the axes of label budgets that have a size, by kind."""


def draw_label_efficiency(
    summary: pd.DataFrame, titles: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw macro-F1 and its interval against the labels.

    One column of panels per split and kind of label budget with a size, one row per evaluation that several methods
    have; evaluations of single methods are in every row.

    Args:
        summary: One row per cell and metric.
        titles: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    rows = sized_budgets(summary[summary["metric"] == "macro_f1"])
    columns = [(split, kind) for kind in BUDGET_AXES for split in splits if (rows["kind"] == kind).any()]
    if not columns:
        return empty_figure("no label budget of this run has a size")
    shared = shared_evaluations(rows)
    names = [name_row(titles[method], evaluations[evaluation]) for method, evaluation in _cells(rows)]
    width = 5.4 * len(columns)
    in_legend = min(3, max(1, int(width / (_LEGEND_LINE + max(map(len, names)) * _LEGEND_LETTER))))
    figure = new_figure(width, 3.6 * len(shared) + -(-len(names) // in_legend) * _LEGEND_ROW)
    axes = figure.subplots(len(shared), len(columns), sharex="col", sharey=True, squeeze=False)
    for of_row, evaluation in zip(axes, shared, strict=True):
        for axis, (split, kind) in zip(of_row, columns, strict=True):
            panel = rows[(rows["kind"] == kind) & (rows["split"] == split)]
            _draw_lines(axis, panel[~panel["evaluation"].isin(shared - {evaluation})], titles, evaluations)
            axis.set(title=_panel_title(splits[split], evaluation, evaluations, len(shared)), xscale="log")
            ticks = sorted(rows.loc[rows["kind"] == kind, "size"].unique())
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            axis.grid(**GRID)
        of_row[0].set_ylabel("macro-F1 (%)")
    for axis, (_, kind) in zip(axes[-1], columns, strict=True):
        axis.set_xlabel(BUDGET_AXES[kind])
    lines = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=in_legend, fontsize=8, frameon=False)
    return figure


def sized_budgets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose label budget has a size, with its kind and size."""
    budgets = [parse_budget(str(name)) for name in rows["label_budget"]]
    rows = rows.assign(kind=[budget.kind for budget in budgets], size=[budget.size for budget in budgets])
    return rows[rows["kind"].isin(list(BUDGET_AXES))]


def shared_evaluations(rows: pd.DataFrame) -> KeysView[str]:
    """Return the evaluations that several methods have, in order; all, if there are none."""
    methods = rows.groupby("evaluation", sort=False)["method"].nunique()
    shared = methods.index[methods > 1]
    return dict.fromkeys(map(str, shared if len(shared) else methods.index)).keys()


def _cells(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the methods with their evaluations, in order."""
    return list(rows[["method", "evaluation"]].drop_duplicates().itertuples(index=False, name=None))


def _panel_title(split: str, evaluation: str, evaluations: Mapping[str, str], shared: int) -> str:
    return f"{split}, {evaluations[evaluation].lower()}" if shared > 1 else split


def _draw_lines(axis: Axes, rows: pd.DataFrame, titles: Mapping[str, str], evaluations: Mapping[str, str]) -> None:
    """Draw one line per method and evaluation."""
    lines = list(rows.groupby(["method", "evaluation"], sort=False))
    for index, ((method, evaluation), line) in enumerate(lines):
        line = line.sort_values("size")
        # Points of several lines are set apart, so that their intervals can be distinguished.
        x = line["size"] * _SPREAD ** ((2 * index + 1) / len(lines) - 1)
        y = 100 * line["mean"]
        errors = np.nan_to_num(np.stack([y - 100 * line["low"], 100 * line["high"] - y])).clip(min=0)
        number = list(titles).index(str(method))
        axis.errorbar(
            x,
            y,
            errors,
            linestyle=_STYLES[list(evaluations).index(str(evaluation)) % len(_STYLES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            capsize=2,
            linewidth=1.1,
            elinewidth=0.7,
            color=COLOURS[number % len(COLOURS)],
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
    if rows[["epochs", "batch_size"]].drop_duplicates().shape[0] < 2:
        return empty_figure("no methods of this run differ in epochs or batch size")
    lines, columns = arrange(len(panels), 2)
    figure = new_figure(4.8 * columns, 3.6 * lines)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, ((split, evaluation), panel) in zip(axes.flat, panels, strict=False):
        for (size, line), colour in zip(panel.groupby("batch_size"), COLOURS, strict=False):
            line = line.sort_values("epochs")
            axis.plot(line["epochs"], 100 * line["mean"], marker="o", color=colour, label=f"batch {size}")
        axis.set(title=f"{splits[str(split)]}, {evaluations[str(evaluation)].lower()}", xlabel="epochs", xscale="log")
        ticks = sorted(panel["epochs"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.grid(**GRID)
        axis.legend(frameon=False, fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("macro-F1 (%)")
    return figure


def draw_training_curves(
    curves: Mapping[str, pd.DataFrame], budget: str, titles: Mapping[str, str], evaluations: Mapping[str, str]
) -> Figure:
    """Draw macro-F1 on test windows by epoch with one label budget, the mean over repeats, a panel per evaluation.

    Args:
        curves: Learning curves of one split by method.
        budget: Name of the label budget.
        titles: Titles of the methods.
        evaluations: Titles of the evaluations.
    """
    rows = mean_curves(curves)
    rows = rows[(rows["label_budget"] == budget) & (rows["role"] == "test")]
    panels = list(rows.groupby("evaluation", sort=False))
    if not panels:
        return empty_figure("no evaluation of this run has epochs")
    lines, columns = arrange(len(panels), _HISTORIES_WIDE)
    figure = new_figure(3.8 * columns, 3.1 * lines + _LEGEND_ROW * -(-len(curves) // columns))
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    drawn = {}
    for axis, (evaluation, panel) in zip(axes.flat, panels, strict=False):
        for method, line in panel.groupby("method", sort=False):
            number = list(titles).index(str(method))
            style, colour = _STYLES[number // len(COLOURS) % len(_STYLES)], COLOURS[number % len(COLOURS)]
            (drawn[titles[str(method)]],) = axis.plot(line["epoch"], 100 * line["macro_f1"], style, color=colour)
        axis.set_title(textwrap.fill(evaluations[str(evaluation)], 44), fontsize=10)
        axis.set_xlabel("epoch")
        axis.grid(**GRID)
    for axis in axes[:, 0]:
        axis.set_ylabel("macro-F1 on test windows (%)")
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    return figure


def mean_curves(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the means over repeats of learning curves by method, of those with several epochs."""
    keys = ["method", "evaluation", "label_budget", "role"]
    rows = pd.concat([table.assign(method=method) for method, table in curves.items()])
    means = rows.groupby([*keys, "epoch"], sort=False)["macro_f1"].mean().reset_index()
    return means[means.groupby(keys, sort=False)["epoch"].transform("size") > 1]


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
    if not methods:
        return empty_figure("no method of this run records it")
    lines, columns = arrange(len(methods), _HISTORIES_WIDE)
    figure = new_figure(3.8 * columns, 2.9 * lines + _LEGEND_ROW)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(methods) :]:
        axis.set_axis_off()
    for axis, method in zip(axes.flat, methods, strict=False):
        for (split, title), colour, style in zip(splits.items(), COLOURS, cycle(_STYLES), strict=False):
            history = trained.get((split, method))
            if history is None:
                continue
            for _, rows in history.groupby("repeat"):
                axis.plot(rows["epoch"], rows[column], style, color=colour, alpha=0.8, label=title)
        axis.set_title(textwrap.fill(titles[method], 44), fontsize=10)
        axis.set_xlabel("epoch")
        axis.grid(**GRID)
    for axis in axes[:, 0]:
        axis.set_ylabel(label)
    drawn = {name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return figure
