"""Windows and their augmented views."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from contrastive_har.reports.figures.skeletons import StickFigures
from contrastive_har.reports.figures.style import COLOURS, new_figure
from contrastive_har.signals.sensors import Layout

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_MOST_LINES = 12  # channels of a modality; more could not be told apart
_TITLE, _NAME = 40, 28  # letters that fit above a panel, and beside it
_LINES_HIGH, _FIGURES_HIGH = 2.0, 1.8  # inches of a row


def draw_views(
    views: Mapping[str, Mapping[str, NDArray[np.float32]]], layout: Layout, titles: Sequence[str], rate: float
) -> Figure:
    """Draw windows and their augmented views: skeletons as stick figures, other modalities as lines.

    Args:
        views: Normalised windows (windows, time, channels) by modality and by name of the view.
        layout: Layout of the windows with all modalities.
        titles: Titles of the windows.
        rate: Samples per second.
    """
    heights = [
        len(by_name) * (_FIGURES_HIGH if name in layout.skeletons else _LINES_HIGH) for name, by_name in views.items()
    ]
    figure = new_figure(3.1 * len(titles), sum(heights))
    parts = figure.subfigures(len(views), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (modality, by_name) in zip(parts, views.items(), strict=True):
        draw = _draw_skeletons if modality in layout.skeletons else _draw_lines
        # Stick figures share their scale, but not their heights above the origin.
        shared: Literal["none", "col"] = "none" if modality in layout.skeletons else "col"
        axes = part.subplots(len(by_name), len(titles), sharex=True, sharey=shared, squeeze=False)
        legend = draw(axes, list(by_name.values()), layout.only([modality]), rate)
        for axis, title in zip(axes[0], titles, strict=True):
            axis.set_title(textwrap.fill(title, _TITLE), fontsize=9)
        for row, name in zip(axes, by_name, strict=True):
            row[0].set_ylabel(textwrap.fill(name, _NAME), fontsize=8)
            for axis in row:
                axis.tick_params(labelsize=7)
        for axis in axes[-1]:
            axis.set_xlabel("seconds", fontsize=8)
        part.legend(handles=legend, loc="outside lower center", ncols=6, fontsize=7, frameon=False)
        if len(views) > 1:
            part.suptitle(modality, fontsize=10, fontweight="bold")
    return figure


def _draw_lines(
    axes: NDArray[np.object_], views: Sequence[NDArray[np.float32]], layout: Layout, rate: float
) -> list[Artist]:
    """Draw a line per channel into ``axes`` (views, windows); return the entries of the legend."""
    from matplotlib.patches import Patch  # slow to import

    shown = layout.channels[:_MOST_LINES]
    for row, windows in zip(axes, views, strict=True):
        seconds = np.arange(windows.shape[1]) / rate
        for axis, window in zip(row, windows, strict=True):
            for index, channel in enumerate(shown):
                axis.plot(seconds, window[:, index], linewidth=0.9, label=channel.name, color=COLOURS[index])
    legend = [*axes[0, 0].get_lines()]
    if further := layout.width - len(shown):
        legend.append(Patch(alpha=0, label=f"{further} further channels are not shown"))
    return legend


def _draw_skeletons(
    axes: NDArray[np.object_], views: Sequence[NDArray[np.float32]], layout: Layout, rate: float
) -> list[Artist]:
    """Draw stick figures into ``axes`` (views, windows); return the entries of the legend."""
    ((modality, skeleton),) = layout.skeletons.items()
    figures = StickFigures(skeleton, layout.joints(modality), views)
    for row, windows in zip(axes, views, strict=True):
        for axis, window in zip(row, windows, strict=True):
            figures.draw(axis, window, rate)
    return [*figures.legend()]
