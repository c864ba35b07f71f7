"""Windows, their augmented views, and maps of their embeddings."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from contrastive_har.reports.figures.skeletons import StickFigures
from contrastive_har.reports.figures.style import COLOURS, new_figure
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.sensors import Layout

_MOST_LINES = 12  # channels of a modality; more could not be told apart
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
        for row, name in zip(axes, by_name, strict=True):
            for axis, title in zip(row, titles, strict=True):
                axis.set_title(textwrap.fill(f"{title}: {name}", 50), fontsize=8)
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


def draw_embeddings(
    embeddings: Mapping[str, pd.DataFrame], titles: Mapping[str, str], classes: Sequence[str], settings: ReportSettings
) -> Figure:
    """Draw t-SNE maps of embeddings, one column per method and one row per modality, coloured by true activity.

    Args:
        embeddings: Embeddings by method; columns modality (empty for all together), class, f0, f1, ...
        titles: Titles of the methods.
        classes: Names of the class indices.
        settings: Iterations and seed of t-SNE.
    """
    from sklearn.manifold import TSNE

    modalities = list(dict.fromkeys(name for table in embeddings.values() for name in table["modality"]))
    figure = new_figure(4.3 * len(embeddings), 4.4 * len(modalities))
    axes = figure.subplots(len(modalities), len(embeddings), squeeze=False)
    panels = [(row, column) for row in range(len(modalities)) for column in range(len(embeddings))]
    for row, column in panels:
        axis, modality = axes[row, column], modalities[row]
        name, whole = list(embeddings.items())[column]
        table = whole[whole["modality"] == modality]
        if table.empty:  # the method does not have this modality
            axis.set_visible(False)
            continue
        features = table.filter(regex=r"^f\d+$").dropna(axis=1, how="all").to_numpy()
        perplexity = min(30.0, (len(features) - 1) / 3)
        mapping = TSNE(perplexity=perplexity, init="pca", max_iter=settings.tsne_iterations, random_state=settings.seed)
        positions = mapping.fit_transform(features)
        for index, activity in enumerate(classes):
            of_class = table["class"].to_numpy() == index
            axis.scatter(*positions[of_class].T, s=6, alpha=0.7, color=COLOURS[index % len(COLOURS)], label=activity)
        axis.set_title(f"{titles[name]}, {modality}" if modality else titles[name], fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2, frameon=False)
    return figure
