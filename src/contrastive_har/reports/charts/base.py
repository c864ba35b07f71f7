"""Parts of charts: traces with their choices, and the style that they share with the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from contrastive_har.reports.figures.style import COLOUR_CODES, MARKERS

Chart = dict[str, Any]
"""``data`` and ``layout`` as Plotly has them, and ``choices``: what a reader chooses, and if ``one`` or ``many``.

The ``meta`` of a trace has its value of each choice; a trace without a value of a choice is drawn in any case.
"""

_SYMBOLS = dict(
    zip(MARKERS, ("circle", "square", "triangle-up", "diamond", "triangle-down", "star", "cross", "x"), strict=True)
)
_DASHES = ("solid", "dash", "dot", "dashdot")
_GRID = "#dddddd"


def chart(traces: Iterable[Mapping[str, Any]], layout: Mapping[str, Any], **choices: str) -> Chart:
    """Return a chart.

    Args:
        traces: Traces of Plotly.
        layout: Layout of Plotly, in addition to the common one.
        **choices: ``one`` or ``many`` by name of the choice.
    """
    common: dict[str, Any] = {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.18},
        "height": 460,
    }
    return {"data": [dict(trace) for trace in traces], "layout": {**common, **layout}, "choices": choices}


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Return an axis with a title and a grid."""
    return {"title": {"text": title}, "gridcolor": _GRID, "zeroline": False, "automargin": True, **settings}


def colour(number: int) -> str:
    """Return the colour of a method, activity or split by its number."""
    return COLOUR_CODES[number % len(COLOUR_CODES)]


def symbol(number: int) -> str:
    """Return the marker of a method or split by its number."""
    return _SYMBOLS[MARKERS[number % len(MARKERS)]]


def dash(number: int) -> str:
    """Return the style of a line by its number."""
    return _DASHES[number % len(_DASHES)]


def rounded(values: Iterable[float], digits: int = 2) -> list[float | None]:
    """Return numbers as JSON has them: rounded, and null for what is not finite."""
    return [round(float(value), digits) if np.isfinite(value) else None for value in values]


def errors(low: Iterable[float], mean: Iterable[float], high: Iterable[float]) -> dict[str, Any]:
    """Return bars of intervals in per cent, given shares."""
    triples = list(zip(low, mean, high, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "arrayminus": rounded(100 * (mean - low) for low, mean, _ in triples),
        "array": rounded(100 * (high - mean) for _, mean, high in triples),
        "thickness": 1.2,
        "width": 3,
    }
