"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_har.reports.figures.style import new_figure
from contrastive_har.scores.metrics import confusion_matrix


def draw_confusion_matrices(
    predictions: Mapping[str, pd.DataFrame],
    budget: str,
    titles: Mapping[str, str],
    evaluations: Mapping[str, str],
    classes: Sequence[str],
) -> Figure:
    """Draw one confusion matrix per method and evaluation with one label budget, summed over repeats.

    Args:
        predictions: Predictions by method.
        budget: Name of the label budget.
        titles: Titles of the methods.
        evaluations: Titles of the evaluations.
        classes: Names of the class indices.
    """
    panels = []
    for method, table in predictions.items():
        chosen = table[table["label_budget"] == budget]
        panels += [
            (f"{titles[method]}\n{evaluations[str(evaluation)].lower()}", rows)
            for evaluation, rows in chosen.groupby("evaluation", sort=False)
        ]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = new_figure(3.9 * columns, 3.7 * lines)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, rows) in zip(axes, panels, strict=False):
        draw_confusion(axis, rows, classes)
        axis.set_title(title, fontsize=9)
    return figure


def draw_one_confusion(rows: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """Draw the confusion matrix of one cell of the result table."""
    figure = new_figure(4.6, 4.2)
    axis = figure.subplots()
    draw_confusion(axis, rows, classes)
    axis.set_title(title, fontsize=9)
    return figure


def draw_confusion(axis: Axes, rows: pd.DataFrame, classes: Sequence[str]) -> None:
    """Draw true against predicted activities as row percentages."""
    counts = confusion_matrix(rows["true"].to_numpy(), rows["predicted"].to_numpy(), len(classes))
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 55 else "black"
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    short = [name.removeprefix("walking ") if name != "walking" else name for name in classes]
    axis.set_xticks(range(len(classes)), short, rotation=45, ha="right", fontsize=7)
    axis.set_yticks(range(len(classes)), short, fontsize=7)
    axis.set_xlabel("predicted", fontsize=8)
    axis.set_ylabel("true (%)", fontsize=8)
