"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contrastive_har.reports.figures.style import new_figure
from contrastive_har.scores.metrics import confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.9, 3.7  # inches of a matrix with its labels
_LABELS, _CELL = 1.3, 0.22  # inches of the labels, and of the least cell that a number fits in
_WIDEST = 12.0  # inches


def draw_confusion_matrices(
    predictions: Mapping[str, pd.DataFrame],
    budget: str,
    titles: Mapping[str, str],
    evaluations: Mapping[str, str],
    classes: Sequence[str],
    order: Sequence[int] | None = None,
) -> Figure:
    """Draw one confusion matrix per method and evaluation with one label budget, summed over repeats.

    Args:
        predictions: Predictions by method.
        budget: Name of the label budget.
        titles: Titles of the methods.
        evaluations: Titles of the evaluations.
        classes: Names of the class indices.
        order: Class indices from top to bottom; None leaves them as they are.
    """
    panels = []
    for method, table in predictions.items():
        chosen = table[table["label_budget"] == budget]
        panels += [
            (f"{titles[method]}\n{evaluations[str(evaluation)].lower()}", rows)
            for evaluation, rows in chosen.groupby("evaluation", sort=False)
        ]
    width, height = _size(classes)
    columns = max(1, min(3, len(panels), int(_WIDEST / width)))
    lines = -(-len(panels) // columns)
    figure = new_figure(width * columns, height * lines)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, rows) in zip(axes, panels, strict=False):
        draw_confusion(axis, rows, classes, order)
        axis.set_title(title, fontsize=9)
    return figure


def draw_one_confusion(rows: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """Draw the confusion matrix of one cell of the result table."""
    width, height = _size(classes)
    figure = new_figure(width + 0.7, height + 0.5)
    axis = figure.subplots()
    draw_confusion(axis, rows, classes)
    axis.set_title(title, fontsize=9)
    return figure


def draw_confusion(axis: Axes, rows: pd.DataFrame, classes: Sequence[str], order: Sequence[int] | None = None) -> None:
    """Draw true against predicted activities as row percentages, in the order of class indices if one is given."""
    counts = confusion_matrix(rows["true"].to_numpy(), rows["predicted"].to_numpy(), len(classes))
    if order is not None:
        counts, classes = counts[np.ix_(order, order)], [classes[index] for index in order]
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


def _size(classes: Sequence[str]) -> tuple[float, float]:
    """Return width and height in inches of a matrix, with which its numbers do not overlap."""
    least = _LABELS + _CELL * len(classes)
    return max(_WIDTH, least), max(_HEIGHT, least)
