"""Charts of confusion matrices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrastive_har.reports.charts.base import Chart, axis, chart
from contrastive_har.reports.tables import describe_budget, name_row
from contrastive_har.scores.metrics import confusion_matrix

_SHARE, _COUNT = "share of the true activity (%)", "number of windows"


def chart_confusion_matrices(
    predictions: Mapping[str, pd.DataFrame],
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    classes: Sequence[str],
    order: Sequence[int],
) -> Chart:
    """Chart the confusion matrices of one split, summed over repeats, as shares of the rows and as counts.

    Args:
        predictions: Predictions by method.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        classes: Names of the class indices.
        order: Class indices from top to bottom.
    """
    names = [classes[index] for index in order]
    traces = []
    for method, table in predictions.items():
        for (evaluation, budget), rows in table.groupby(["evaluation", "label_budget"], sort=False):
            counts = confusion_matrix(rows["true"].to_numpy(), rows["predicted"].to_numpy(), len(classes))
            counts = counts[np.ix_(order, order)]
            row = name_row(methods[method], evaluations[evaluation])
            for shown, heatmap in _heatmaps(counts, names):
                traces.append({**heatmap, "meta": {"of": row, "labels": describe_budget(budget), "shown": shown}})
    side = 42 * len(classes) + 190
    layout = {
        "xaxis": axis("predicted", tickangle=-45, constrain="domain"),
        "yaxis": axis("true", autorange="reversed"),
        "height": min(900, max(420, side)),
    }
    return chart(traces, layout, of="one", labels="one", shown="one")


def _heatmaps(counts: np.ndarray[Any, Any], names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a matrix as shares and as counts."""
    shares = (100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)).round(1)
    for shown, values, largest in ((_SHARE, shares, 100), (_COUNT, counts, int(counts.max()))):
        yield (
            shown,
            {
                "type": "heatmap",
                "x": names,
                "y": names,
                "z": values.tolist(),
                "zmin": 0,
                "zmax": largest,
                "texttemplate": "%{z:.3~g}" if shown == _SHARE else "%{z}",
                "colorscale": [[0, "#f7fbff"], [1, "#08306b"]],
                "hovertemplate": "true: %{y}<br>predicted: %{x}<br>%{z}<extra></extra>",
            },
        )
