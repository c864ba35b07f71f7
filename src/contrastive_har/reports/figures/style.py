"""Common style of figures: colours, markers, grid, empty figures."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOUR_CODES = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d"),  # Okabe and Ito 2008
    *("#332288", "#882255", "#999933", "#44aa99", "#aa4499", "#117733", "#ddcc77", "#661100", "#88ccee"),  # Tol 2021
)
"""Sixteen colours of methods and activities; the first seven differ for colour-blind readers too."""
COLOURS: tuple[tuple[float, float, float], ...] = tuple(
    (int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:], 16) / 255) for code in COLOUR_CODES
)
"""The same as shares of red, green and blue."""
MARKERS = "os^Dv*PX"
"""Markers of methods, so that no two of the first fifty-six have the same colour and marker."""
GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}
FURTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Source Han Sans SC"),
    *("WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans", "Heiti SC", "Microsoft YaHei", "SimHei", "Malgun Gothic"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS"),
)
"""Common fonts, of which those that are installed have the characters that Matplotlib's own font lacks."""
_EMPTY = "nothing to draw"
_DOTS_PER_INCH = 110  # of stored figures


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches, without global state."""
    from matplotlib import figure, rcParams  # slow to import

    rcParams["text.parse_math"] = False  # names of activities and subjects are no formulas
    rcParams["font.family"] = ["DejaVu Sans", *_installed(FURTHER_FONTS)]
    return figure.Figure(figsize=(width, height), layout="constrained")


@cache
def _installed(fonts: tuple[str, ...]) -> tuple[str, ...]:
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return tuple(font for font in fonts if font in known)


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
