"""Rows as configured and as tuned: two dots for each, joined by a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure
from contrastive_har.reports.tables import describe_budget, name_row
from contrastive_har.scores.tuning import SETTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "#999999"


def draw_tuning(
    summary: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw macro-F1 on test windows, untuned and tuned: one panel per split and label budget, one line per row.

    Args:
        summary: From :func:`contrastive_har.scores.tuning.summarise_tuning`.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    panels = list(summary.groupby(["split", "label_budget"], sort=False))
    names = [*dict.fromkeys(zip(summary["method"], summary["evaluation"], strict=True))]
    figure = new_figure(3.6 * len(panels) + 2.2, 0.4 * len(names) + 1.4)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ((split, budget), rows), axis in zip(panels, axes, strict=True):
        heights = [names.index(row) for row in zip(rows["method"], rows["evaluation"], strict=True)]
        axis.hlines(heights, *(100 * rows[name] for name in SETTINGS), color=_GREY, linewidth=1.2, zorder=1)
        for name, colour, filled in zip(SETTINGS, COLOURS, (False, True), strict=False):
            faces = colour if filled else "none"
            axis.scatter(100 * rows[name], heights, facecolors=faces, edgecolors=colour, s=44, label=name, zorder=2)
        axis.set_title(f"{splits[str(split)]}\n{describe_budget(str(budget))}", fontsize=9)
        axis.set_xlabel("macro-F1 (%)")
        axis.grid(**GRID)
    axes[0].set_yticks(range(len(names)), [name_row(methods[m], evaluations[e]) for m, e in names], fontsize=9)
    axes[0].invert_yaxis()
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(SETTINGS), fontsize=9, frameon=False)
    return figure
