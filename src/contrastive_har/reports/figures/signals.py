"""Windows, their augmented views, and maps of their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contrastive_har.reports.figures.style import COLOURS, new_figure
from contrastive_har.scores.statistics import ReportSettings


def draw_views(
    views: Mapping[str, NDArray[np.float32]], titles: Sequence[str], channels: Sequence[str], rate: float
) -> Figure:
    """Draw windows and their augmented views.

    Args:
        views: Windows (windows, time, channels) by name of the view.
        titles: Titles of the windows.
        channels: Names of the channels, with their units.
        rate: Samples per second.
    """
    figure = new_figure(3.1 * len(titles), 2.0 * len(views))
    axes = figure.subplots(len(views), len(titles), sharex=True, sharey="col", squeeze=False)
    for row, (name, windows) in zip(axes, views.items(), strict=True):
        seconds = np.arange(windows.shape[1]) / rate
        for axis, window, title in zip(row, windows, titles, strict=True):
            for index, channel in enumerate(channels):
                axis.plot(seconds, window[:, index], linewidth=0.9, label=channel, color=COLOURS[index % len(COLOURS)])
            axis.set_title(f"{title}: {name}", fontsize=8)
            axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=7, frameon=False
    )
    return figure


def draw_embeddings(
    embeddings: Mapping[str, pd.DataFrame], titles: Mapping[str, str], classes: Sequence[str], settings: ReportSettings
) -> Figure:
    """Draw t-SNE maps of embeddings, one panel per method, coloured by true activity.

    Args:
        embeddings: Embeddings by method; columns class, f0, f1, ...
        titles: Titles of the methods.
        classes: Names of the class indices.
        settings: Iterations and seed of t-SNE.
    """
    from sklearn.manifold import TSNE

    figure = new_figure(4.3 * len(embeddings), 4.4)
    axes = figure.subplots(1, len(embeddings), squeeze=False)[0]
    for axis, (name, table) in zip(axes, embeddings.items(), strict=True):
        features = table.filter(regex=r"^f\d+$").to_numpy()
        perplexity = min(30.0, (len(features) - 1) / 3)
        mapping = TSNE(perplexity=perplexity, init="pca", max_iter=settings.tsne_iterations, random_state=settings.seed)
        positions = mapping.fit_transform(features)
        for index, activity in enumerate(classes):
            of_class = table["class"].to_numpy() == index
            axis.scatter(*positions[of_class].T, s=6, alpha=0.7, color=COLOURS[index % len(COLOURS)], label=activity)
        axis.set_title(titles[name], fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2, frameon=False)
    return figure
