"""The first figure of a report: one row per method, one point per split."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_APART = 0.3  # of a row, between the points of its splits


def order_methods(rows: pd.DataFrame, split: str) -> list[str]:
    """Return the methods of the best rows, the best on a split first; then those that it does not have."""
    first = rows[rows["split"] == split]["method"]
    return list(dict.fromkeys([*first, *rows["method"]]))


def draw_answer(rows: pd.DataFrame, split: str, methods: Mapping[str, str], splits: Mapping[str, str]) -> Figure:
    """Draw the best evaluation of each method with its interval, and the published value, on all splits.

    Args:
        rows: From :func:`contrastive_har.reports.answer.best_rows`.
        split: Name of the split by which methods are sorted.
        methods: Titles of the methods.
        splits: Titles of the splits.
    """
    from matplotlib.lines import Line2D  # slow to import

    ordered = order_methods(rows, split)
    figure = new_figure(8.5, 0.42 * len(ordered) + 1.2)
    axis = figure.subplots()
    for number, (name, title) in enumerate(splits.items()):
        of_split = rows[rows["split"] == name]
        heights = [ordered.index(method) + _APART * (number - (len(splits) - 1) / 2) for method in of_split["method"]]
        means, published = 100 * of_split["mean"], 100 * of_split["published"]
        errors = np.nan_to_num(np.stack([means - 100 * of_split["low"], 100 * of_split["high"] - means])).clip(min=0)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axis.errorbar(
            means, heights, xerr=errors, fmt=marker, color=colour, capsize=2, markersize=6, linewidth=1.2, label=title
        )
        axis.scatter(published, heights, marker="D", s=34, facecolors="none", edgecolors=colour, linewidths=1.2)
    axis.set_yticks(range(len(ordered)), [textwrap.fill(methods[name], 34) for name in ordered], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel("macro-F1 (%)")
    axis.grid(**GRID)
    handles, labels = axis.get_legend_handles_labels()
    if rows["published"].notna().any():
        handles.append(Line2D([], [], linestyle="", marker="D", markerfacecolor="none", color="#555555"))
        labels.append("published")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    return figure
