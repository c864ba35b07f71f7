"""Curves of strategies that choose the windows to label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_trials(summary: pd.DataFrame, methods: Mapping[str, str], splits: Mapping[str, str]) -> Figure:
    """Draw macro-F1 against the labelled seconds, without wrong labels: one panel per split and method.

    There is one line per strategy; bands are one standard deviation over repeats and draws.

    Args:
        summary: split, method, strategy, measure, wrong_labels, labels, signal_seconds, mean and sd.
        methods: Titles of the methods.
        splits: Titles of the splits.
    """
    rows = summary[(summary["measure"] == "macro_f1") & (summary["wrong_labels"] == 0)]
    columns = [name for name in methods if (rows["method"] == name).any()]
    lines = [name for name in splits if (rows["split"] == name).any()]
    colours = dict(zip(rows["strategy"].unique(), COLOURS, strict=False))
    figure = new_figure(3.4 * len(columns), 3.2 * len(lines) + 0.6)
    axes = figure.subplots(len(lines), len(columns), sharex=True, sharey=True, squeeze=False)
    for split, of_split in zip(lines, axes, strict=True):
        for method, axis in zip(columns, of_split, strict=True):
            chosen = rows[(rows["split"] == split) & (rows["method"] == method)]
            for strategy, line in chosen.sort_values("labels").groupby("strategy", sort=False):
                mean, spread, colour = 100 * line["mean"], 100 * line["sd"].fillna(0), colours[strategy]
                cost = line["signal_seconds"]
                axis.plot(cost, mean, marker="o", markersize=3, color=colour, label=strategy)
                axis.fill_between(cost, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
            axis.set_xscale("log")
            ticks = rows.groupby("labels")["signal_seconds"].max()
            axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
            axis.minorticks_off()
            axis.set_title(f"{methods[method]}\n{splits[split].lower()}", fontsize=9)
            axis.grid(**GRID)
        of_split[0].set_ylabel("macro-F1 (%)")
    for axis in axes[-1]:
        axis.set_xlabel("seconds of signal that are labelled")
    entries = {
        label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    known = [name for name in colours if name in entries]
    handles = [entries[name] for name in known]
    figure.legend(handles, known, loc="outside lower center", ncols=min(len(known), 7), fontsize=8, frameon=False)
    return figure
