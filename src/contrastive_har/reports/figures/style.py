"""Common style of figures: colours, grid, empty figures."""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

rcParams["text.parse_math"] = False  # names of activities and subjects are no formulas

_TWENTY = colormaps["tab20"].colors  # type: ignore[attr-defined]
COLOURS = (*_TWENTY[::2], *_TWENTY[1::2])
"""Twenty colours of methods and activities, the saturated ones first."""
GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches, without global state."""
    return Figure(figsize=(width, height), layout="constrained")


def say_empty(axis: Axes, text: str) -> None:
    """Write a text in place of a diagram."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center")
