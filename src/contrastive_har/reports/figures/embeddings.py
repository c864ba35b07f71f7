"""Maps of embeddings by t-SNE, coloured by activity or by word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contrastive_har.reports.figures.style import COLOURS, new_figure
from contrastive_har.scores.statistics import ReportSettings

_MARKERS = "o^sDvPX<>*"
_COLUMNS = 4  # of maps by word
_LEGEND_ROW = 0.19  # inches at 8 points


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
        positions = _map(table, settings)
        for index, activity in enumerate(classes):
            of_class = table["class"].to_numpy() == index
            axis.scatter(*positions[of_class].T, s=6, alpha=0.7, color=COLOURS[index % len(COLOURS)], label=activity)
        axis.set_title(f"{titles[name]}, {modality}" if modality else titles[name], fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2, frameon=False)
    return figure


def draw_embeddings_by_word(
    embeddings: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    classes: Sequence[str],
    words: Sequence[str],
    settings: ReportSettings,
) -> Figure:
    """Draw t-SNE maps of embeddings with a colour for each word, and a marker for each activity that has it.

    Args:
        embeddings: Embeddings by method; columns modality (empty for all together), class, f0, f1, ...
        titles: Titles of the methods.
        classes: Names of the class indices.
        words: A word of each class.
        settings: Iterations and seed of t-SNE.
    """
    panels = [
        (f"{titles[name]}, {modality}" if modality else titles[name], table)
        for name, whole in embeddings.items()
        for modality, table in whole.groupby("modality", sort=False)
    ]
    columns = min(_COLUMNS, len(panels))
    rows, legend_rows = -(-len(panels) // columns), -(-len(classes) // columns)
    figure = new_figure(3.2 * columns, 3.3 * rows + _LEGEND_ROW * legend_rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, table) in zip(axes.flat, panels, strict=False):
        positions = _map(table, settings)
        for index, colour, marker in _by_word(words):
            of_class = positions[table["class"].to_numpy() == index]
            axis.scatter(*of_class.T, s=11, alpha=0.7, color=[colour], marker=marker, label=classes[index], linewidth=0)
        axis.set_title(title, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, markerscale=1.8, frameon=False
    )
    return figure


def _by_word(words: Sequence[str]) -> Iterator[tuple[int, tuple[float, float, float], str]]:
    """Yield class index, colour and marker of each class, those of one word together and the commonest word first."""
    for number, (word, _) in enumerate(Counter(words).most_common()):
        of_word = [index for index, other in enumerate(words) if other == word]
        for place, index in enumerate(of_word):
            yield index, COLOURS[number % len(COLOURS)], _MARKERS[place % len(_MARKERS)]


def _map(table: pd.DataFrame, settings: ReportSettings) -> NDArray[np.float32]:
    """Return the positions of embeddings on a map (windows, 2)."""
    from sklearn.manifold import TSNE

    features = table.filter(regex=r"^f\d+$").dropna(axis=1, how="all").to_numpy()
    perplexity = min(30.0, (len(features) - 1) / 3)
    mapping = TSNE(perplexity=perplexity, init="pca", max_iter=settings.tsne_iterations, random_state=settings.seed)
    positions: NDArray[np.float32] = mapping.fit_transform(features)
    return positions
