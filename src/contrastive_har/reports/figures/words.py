"""Activities and the words of their names as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from contrastive_har.reports.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW = 0.27  # inches
_GREY = "#999999"


def draw_word_graph(activities: Sequence[str], names: Sequence[Sequence[str]]) -> Figure:
    """Draw activities on the left, words on the right, and a line from each activity to each of its words.

    Words of several activities have a colour. Words are in the order of the mean heights of their activities.

    Args:
        activities: Names of the activities, from top to bottom.
        names: The words of each.
    """
    rows = {
        word: [row for row, name in enumerate(names) if word in name]
        for word in dict.fromkeys(word for name in names for word in name)
    }
    words = sorted(rows, key=lambda word: (np.mean(rows[word]), word))
    height = max(len(activities), len(words))
    left, right = (np.linspace(0, height - 1, count + 2)[1:-1] for count in (len(activities), len(words)))
    figure = new_figure(7.5, _ROW * height + 0.4)
    axis = figure.subplots()
    sides = (axis, axis.twinx())
    colours = cycle(COLOURS)
    for end, word in zip(right, words, strict=True):
        shared = len(rows[word]) > 1
        colour = next(colours) if shared else _GREY
        for row in rows[word]:
            axis.plot([0, 1], [left[row], end], color=colour, linewidth=1.6 if shared else 0.8, zorder=1)
        axis.scatter([1], [end], s=25 + 22 * len(rows[word]), color=[colour], zorder=2)
    axis.scatter(np.zeros(len(left)), left, s=25, color="black", zorder=2)
    counted = [f"{word} ({len(rows[word])})" if len(rows[word]) > 1 else word for word in words]
    for side, places, labels in zip(sides, (left, right), (activities, counted), strict=True):
        side.set_yticks(places, labels, fontsize=9)
        side.set_ylim(height - 0.5, -0.5)
        side.tick_params(length=0)
        side.spines[:].set_visible(False)
    for label, word in zip(sides[1].get_yticklabels(), words, strict=True):
        label.set_fontweight("bold" if len(rows[word]) > 1 else "normal")
    axis.set_xticks([])
    return figure
