"""Timelines of activities as figures and tables."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contrastive_har.reports.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 20  # recordings in a figure or table at most
_TOUCHING = 1e-6  # seconds between rows that follow one another
_UNKNOWN = "#dddddd"
_UNFAMILIAR: dict[str, Any] = {"facecolor": "none", "edgecolor": "#444444", "hatch": "////", "linewidth": 0}


def draw_timeline(timeline: pd.DataFrame) -> Figure:
    """Draw one band per recording, coloured by activity, paler if less probable, hatched if unlike the training data.

    Args:
        timeline: Columns recording, start, end (seconds), activity, probability, unfamiliar, and ``p(<activity>)`` for
            each.
    """
    from matplotlib.patches import Patch  # slow to import

    names = [column[2:-1] for column in timeline.columns if column.startswith("p(")]
    colours = dict(zip(names, cycle(COLOURS), strict=False))
    recordings = list(timeline.groupby("recording", sort=False))
    shown = recordings[:_SHOWN]
    figure = new_figure(10, 1.4 + 0.45 * len(shown))
    axis = figure.subplots()
    for index, (_, rows) in enumerate(shown):
        opacities = rows["probability"].fillna(1.0).to_numpy().clip(0.3, 1.0)
        row_colours = [colours.get(name, _UNKNOWN) for name in rows["activity"]]
        axis.barh(
            np.full(len(rows), index),
            rows["end"] - rows["start"],
            left=rows["start"],
            height=0.8,
            color=list(zip(row_colours, opacities, strict=True)),
        )
        for start, end in _joined(rows[rows["unfamiliar"]]):
            axis.barh(index, end - start, left=start, height=0.8, **_UNFAMILIAR)
    axis.set_yticks(range(len(shown)), [str(name) for name, _ in shown], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("seconds since the recording began")
    if len(recordings) > _SHOWN:
        axis.set_title(f"The first {_SHOWN} of {len(recordings)} recordings", fontsize=9)
    occurring = [name for name in names if (timeline["activity"] == name).any()]
    handles = [Patch(color=colours[name], label=name) for name in occurring]
    if timeline["activity"].isna().any():
        handles.append(Patch(color=_UNKNOWN, label="shorter than a window"))
    if timeline["unfamiliar"].any():
        handles.append(Patch(**_UNFAMILIAR, label="unlike the training data"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _joined(rows: pd.DataFrame) -> list[tuple[float, float]]:
    """Return the start and end of each series of rows without a gap; they are drawn faster than single rows."""
    begins = (rows["start"] - rows["end"].shift(fill_value=-np.inf)).abs().to_numpy() > _TOUCHING
    of_series = rows.groupby(begins.cumsum())
    return list(zip(of_series["start"].first(), of_series["end"].last(), strict=True))


def summarise_timeline(timeline: pd.DataFrame) -> str:
    """Return a table for the console: minutes of each activity, and of unfamiliar rows, one line per recording."""
    minutes = (timeline["end"] - timeline["start"]) / 60
    names = timeline["activity"].fillna("too short").rename("minutes of")
    table = minutes.groupby([timeline["recording"], names], sort=False).sum().unstack(fill_value=0.0)
    table["(unfamiliar)"] = (minutes * timeline["unfamiliar"]).groupby(timeline["recording"], sort=False).sum()
    rest = len(table) - _SHOWN
    text: str = table.head(_SHOWN).round(1).to_string()
    return f"{text}\nand {rest} more" if rest > 0 else text
