"""Charts of training: learning curves of evaluations, losses of pre-training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from contrastive_har.reports.charts.base import Chart, axis, chart, colour, dash, rounded, symbol
from contrastive_har.reports.figures.curves import mean_curves
from contrastive_har.reports.tables import describe_budget
from contrastive_har.scores.cells import Cell

_POINTS = 60  # most points of a line
_TICKS = 12  # most epochs that are all named


def chart_training_curves(
    curves: Mapping[str, pd.DataFrame], methods: Mapping[str, str], evaluations: Mapping[str, str]
) -> Chart:
    """Chart macro-F1 by epoch, the mean over repeats; empty if no evaluation has several epochs.

    Args:
        curves: Learning curves of one split by method.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
    """
    traces: list[Chart] = []
    keys = ["evaluation", "label_budget", "role", "method"]
    for (evaluation, budget, role, method), line in mean_curves(curves).groupby(keys, sort=False):
        number = list(methods).index(method)
        kept = np.unique(np.linspace(0, len(line) - 1, min(len(line), _POINTS)).round().astype(int))
        traces.append(
            {
                "name": methods[method],
                "meta": {
                    "evaluation": evaluations[evaluation],
                    "labels": describe_budget(budget),
                    "windows": role,
                    "method": methods[method],
                },
                "mode": "lines+markers",
                "x": [int(epoch) for epoch in line["epoch"].iloc[kept]],
                "y": rounded(100 * line["macro_f1"].iloc[kept]),
                "line": {"color": colour(number), "width": 1.5},
                "marker": {"symbol": symbol(number), "size": 5},
                "hovertemplate": "epoch %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    if not traces:
        return {}
    lines = Counter(trace["meta"]["evaluation"] for trace in traces)
    traces.sort(key=lambda trace: -lines[trace["meta"]["evaluation"]])  # shown first: where there is most to compare
    layout = {"xaxis": _epochs(traces), "yaxis": axis("macro-F1 (%)"), "showlegend": False}
    return chart(traces, layout, evaluation="one", labels="one", windows="one", method="many")


def chart_histories(
    histories: Mapping[Cell, pd.DataFrame],
    methods: Mapping[str, str],
    splits: Mapping[str, str],
    column: str,
    label: str,
) -> Chart:
    """Chart a column of pre-training histories by epoch, a line per split and repeat; empty if no method has it.

    Args:
        histories: Histories by cell.
        methods: Titles of the methods.
        splits: Titles of the splits.
        column: The column.
        label: Name of its axis.
    """
    traces = []
    for cell, history in histories.items():
        number = list(splits).index(cell.split)
        for repeat, rows in history.dropna(subset=[column]).groupby("repeat"):
            traces.append(
                {
                    "name": f"{splits[cell.split]}, repeat {int(repeat) + 1}",
                    "meta": {"method": methods[cell.method]},
                    "mode": "lines+markers",
                    "x": [int(epoch) for epoch in rows["epoch"]],
                    "y": rounded(rows[column], 4),
                    "line": {"color": colour(number), "dash": dash(int(repeat)), "width": 1.5},
                    "marker": {"symbol": symbol(number), "size": 5},
                }
            )
    if not traces:
        return {}
    return chart(traces, {"xaxis": _epochs(traces), "yaxis": axis(label)}, method="one")


def _epochs(traces: list[Chart]) -> Chart:
    """Return the axis of the epochs, which are whole numbers."""
    few = max(max(trace["x"]) for trace in traces) <= _TICKS
    return axis("epoch", **({"dtick": 1} if few else {}))
