"""Maps of embeddings, coloured by activity or by word."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, arrange, new_figure
from contrastive_har.reports.maps import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "o^sDvPX<>*"
_COLUMNS = 4
_LEGEND_ROW = 0.19  # inches at 8 points


def draw_embeddings(
    maps: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    classes: Sequence[str],
    words: Sequence[str] | None = None,
) -> Figure:
    """Draw maps of embeddings, one per method and modality.

    Args:
        maps: Positions by method, from :func:`contrastive_har.reports.maps.place_windows`.
        titles: Titles of the methods.
        classes: Names of the class indices.
        words: A word of each class: a word has a colour, and each activity that has it a marker. None gives each
            activity a colour of its own.
    """
    drawn = list(panels(maps, titles))
    rows, columns = arrange(len(drawn), _COLUMNS)
    in_legend = columns if words else min(6, 2 * columns)
    figure = new_figure(3.2 * columns, 3.3 * rows + _LEGEND_ROW * -(-len(classes) // in_legend))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    styles = list(_by_word(words or classes))
    for axis, (title, table) in zip(axes.flat, drawn, strict=False):
        for index, colour, marker in styles:
            of_class = table[table["class"] == index]
            axis.scatter(
                of_class["x"], of_class["y"], s=11, alpha=0.7, color=[colour], marker=marker, label=classes[index],
                linewidth=0,
            )  # fmt: skip
        axis.set_title(textwrap.fill(title, 40), fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=in_legend, fontsize=8, markerscale=1.8, frameon=False
    )
    return figure


def _by_word(words: Sequence[str]) -> Iterator[tuple[int, tuple[float, float, float], str]]:
    """Yield class index, colour and marker of each class, those of one word together and the commonest word first."""
    for number, (word, _) in enumerate(Counter(words).most_common()):
        of_word = [index for index, other in enumerate(words) if other == word]
        for place, index in enumerate(of_word):
            yield index, COLOURS[number % len(COLOURS)], _MARKERS[place % len(_MARKERS)]
