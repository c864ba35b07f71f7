"""Activities and the words of their names as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from contrastive_har.reports.figures.style import COLOURS, new_figure

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
    colours = cycle(COLOURS)
    for end, word in zip(right, words, strict=True):
        shared = len(rows[word]) > 1
        colour = next(colours) if shared else _GREY
        for row in rows[word]:
            axis.plot([0, 1], [left[row], end], color=colour, linewidth=1.6 if shared else 0.8, zorder=1)
        axis.scatter([1], [end], s=25 + 22 * len(rows[word]), color=[colour], zorder=2)
        label = f"{word} ({len(rows[word])})" if shared else word
        axis.text(1.04, end, label, va="center", fontsize=9, fontweight="bold" if shared else "normal")
    axis.scatter(np.zeros(len(left)), left, s=25, color="black", zorder=2)
    for start, activity in zip(left, activities, strict=True):
        axis.text(-0.04, start, activity, ha="right", va="center", fontsize=9)
    axis.set_ylim(height - 0.5, -0.5)
    axis.set_axis_off()
    return figure
