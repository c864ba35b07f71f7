"""Common style of figures: colours, markers, grid, empty figures."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import rcParams
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

rcParams["text.parse_math"] = False  # names of activities and subjects are no formulas

_SAFE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"),  # Okabe and Ito 2008
    *("#332288", "#882255", "#999933", "#44AA99", "#AA4499", "#117733", "#DDCC77", "#661100", "#88CCEE"),  # Tol 2021
)
COLOURS: tuple[tuple[float, float, float], ...] = tuple((*to_rgb(code),) for code in _SAFE)
"""Sixteen colours of methods and activities; the first seven differ for colour-blind readers too."""
MARKERS = "os^Dv*PX"
"""Markers of methods, so that no two of the first fifty-six have the same colour and marker."""
GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}
_EMPTY = "nothing to draw"
_DOTS_PER_INCH = 110  # of stored figures


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches, without global state."""
    return Figure(figsize=(width, height), layout="constrained")


def empty_figure(reason: str) -> Figure:
    """Return a figure that says why there is nothing to draw; reports leave it out."""
    figure = new_figure(5.4, 1.2)
    figure.text(0.5, 0.5, reason, ha="center", va="center")
    figure.set_label(_EMPTY)
    return figure


def draw_png(figure: Figure) -> bytes:
    """Return a figure as PNG, with its label as comment."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DOTS_PER_INCH, metadata={"Comment": str(figure.get_label())})
    return picture.getvalue()


def is_empty(picture: bytes) -> bool:
    """Return whether a PNG is that of an empty figure."""
    return b"Comment\0" + _EMPTY.encode() in picture


def arrange(panels: int, columns: int) -> tuple[int, int]:
    """Return the rows and columns in which panels are drawn, at most so many columns."""
    columns = max(1, min(columns, panels))
    return max(1, -(-panels // columns)), columns
