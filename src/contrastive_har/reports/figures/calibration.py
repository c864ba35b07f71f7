"""Reliability diagrams: how often predictions are right, against their probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure
from contrastive_har.scores.calibration import calibration_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST = 400  # area of a marker of all windows, in square points


def draw_reliability(bins: pd.DataFrame) -> Figure:
    """Draw how often the first recogniser is right on test windows, without and with its temperature.

    Args:
        bins: Bins of probabilities: columns modalities, role, calibrated, windows, confidence, accuracy.
    """
    shown = bins[(bins["modalities"] == bins["modalities"].iloc[0]) & (bins["role"] == "test")]
    figure = new_figure(4.6, 4.2)
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle="--")
    for (calibrated, rows), colour in zip(shown.groupby("calibrated"), COLOURS, strict=False):
        name = f"{'with its' if calibrated else 'without a'} temperature: error {100 * calibration_error(rows):.1f} %"
        axis.plot(rows["confidence"], rows["accuracy"], color=colour, linewidth=1.2, label=name)
        areas = 6 + _LARGEST * rows["windows"] / rows["windows"].sum()
        axis.scatter(rows["confidence"], rows["accuracy"], s=areas, color=colour, alpha=0.6)
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability of the prediction", ylabel="share that is right")
    axis.grid(**GRID)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center")
    return figure
