"""Charts of maps of embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from contrastive_har.reports.charts.base import Chart, axis, chart, colour, rounded, symbol
from contrastive_har.reports.maps import panels

_HOVER = "%{customdata[0]}, subject %{customdata[1]}, window %{customdata[2]}<extra></extra>"


def chart_embeddings(
    maps: Mapping[str, pd.DataFrame], methods: Mapping[str, str], classes: Sequence[str], subjects: pd.Series
) -> Chart:
    """Chart maps of embeddings, coloured by activity or by subject.

    Args:
        maps: Positions by method, from :func:`contrastive_har.reports.maps.place_windows`.
        methods: Titles of the methods.
        classes: Names of the class indices.
        subjects: Subject by window.
    """
    traces = []
    for title, table in panels(maps, methods):
        named = table.assign(
            activity=[classes[index] for index in table["class"]], subject=list(subjects.loc[table["window"]])
        )
        for choice, name, number, rows in _coloured(named, classes):
            traces.append(
                {
                    "name": name,
                    "meta": {"map": title, "colour": choice},
                    "mode": "markers",
                    "x": rounded(rows["x"]),
                    "y": rounded(rows["y"]),
                    "customdata": rows[["activity", "subject", "window"]].values.tolist(),
                    "marker": {"color": colour(number), "symbol": symbol(number // 7), "size": 6, "opacity": 0.75},
                    "hovertemplate": _HOVER,
                }
            )
    hidden = axis("", showticklabels=False, showgrid=False)
    layout = {"xaxis": hidden, "yaxis": hidden, "height": 560, "legend": {"orientation": "h", "y": -0.02}}
    return chart(traces, layout, map="one", colour="one")


def _coloured(named: pd.DataFrame, classes: Sequence[str]) -> Iterator[tuple[str, str, int, pd.DataFrame]]:
    """Yield the points of each activity, then those of each subject: the choice, its name, its number, the points."""
    orders = {"activity": list(classes), "subject": list(named["subject"].drop_duplicates().sort_values())}
    for choice, order in orders.items():
        of_name = dict(iter(named.groupby(choice)))
        yield from ((choice, name, index, of_name[name]) for index, name in enumerate(order) if name in of_name)
