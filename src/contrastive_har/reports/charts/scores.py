"""Charts of scores: the answer, label efficiency, subjects."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from contrastive_har.reports.charts.base import Chart, axis, chart, colour, dash, errors, rounded, symbol
from contrastive_har.reports.figures.answer import order_methods
from contrastive_har.reports.figures.curves import BUDGET_AXES, shared_evaluations, sized_budgets
from contrastive_har.reports.tables import in_percent, name_row
from contrastive_har.scores.table import SUBJECT

_APART = 0.3  # of a row, between the points of its splits


def chart_answer(
    rows: pd.DataFrame,
    split: str,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
) -> Chart:
    """Chart the best evaluation of each method with its interval, and the published value, on all splits.

    Args:
        rows: From :func:`contrastive_har.reports.answer.best_rows`.
        split: Name of the split by which methods are sorted.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    ordered = order_methods(rows, split)
    traces = []
    for number, (name, title) in enumerate(splits.items()):
        of_split = rows[rows["split"] == name]
        shift = _APART * (number - (len(splits) - 1) / 2)
        heights = [ordered.index(method) + shift for method in of_split["method"]]
        texts = [name_row(methods[row.method], evaluations[row.evaluation]) for row in of_split.itertuples()]
        common = {"mode": "markers", "y": heights, "text": texts}
        traces.append(
            {
                **common,
                "name": title,
                "x": rounded(100 * of_split["mean"]),
                "error_x": errors(of_split["low"], of_split["mean"], of_split["high"]),
                "marker": {"color": colour(number), "symbol": symbol(number), "size": 9},
                "hovertemplate": "%{text}<br>%{x:.1f} %<extra>" + title + "</extra>",
            }
        )
        if of_split["published"].notna().any():
            traces.append(
                {
                    **common,
                    "name": f"{title}, published",
                    "x": rounded(100 * of_split["published"]),
                    "marker": {"color": colour(number), "symbol": "diamond-open", "size": 10},
                    "hovertemplate": "%{text}<br>%{x:.1f} %<extra>published</extra>",
                }
            )
    names = [textwrap.fill(methods[name], 22).replace("\n", "<br>") for name in ordered]
    rows_axis = axis("", tickvals=list(range(len(ordered))), ticktext=names, range=[len(ordered) - 0.4, -0.6])
    layout = {"xaxis": axis("macro-F1 (%)"), "yaxis": rows_axis, "height": 34 * len(ordered) + 130}
    return chart(traces, layout)


def chart_label_efficiency(
    summary: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Chart:
    """Chart macro-F1 and its interval against the labels; empty if no label budget has a size.

    Args:
        summary: One row per cell and metric.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    rows = sized_budgets(summary[summary["metric"] == "macro_f1"])
    if rows.empty:
        return {}
    shared = shared_evaluations(rows)
    kinds = [kind for kind in BUDGET_AXES if (rows["kind"] == kind).any()]
    traces = []
    for (split, kind, method, evaluation), line in rows.groupby(["split", "kind", "method", "evaluation"], sort=False):
        line = line.sort_values("size")
        number = list(methods).index(method)
        chosen = {"split": splits[split], "method": methods[method]}
        if evaluation in shared and len(shared) > 1:
            chosen["evaluation"] = evaluations[evaluation]
        if len(kinds) > 1:
            chosen["labels"] = BUDGET_AXES[kind]
        traces.append(
            {
                "name": name_row(methods[method], evaluations[evaluation]),
                "meta": chosen,
                "mode": "lines+markers",
                "x": rounded(line["size"], 4),
                "y": rounded(100 * line["mean"]),
                "error_y": errors(line["low"], line["mean"], line["high"]),
                "line": {"color": colour(number), "dash": dash(list(evaluations).index(evaluation))},
                "marker": {"color": colour(number), "symbol": symbol(number), "size": 8},
                "hovertemplate": "%{x:g}: %{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    ticks = sorted(rows["size"].unique())
    title = BUDGET_AXES[kinds[0]] if len(kinds) == 1 else "label budget"
    labels = axis(title, type="log", tickvals=rounded(ticks, 4), ticktext=[f"{tick:g}" for tick in ticks])
    layout = {"xaxis": labels, "yaxis": axis("macro-F1 (%)"), "showlegend": False, "height": 520}
    return chart(traces, layout, split="one", labels="one", evaluation="one", method="many")


def chart_subjects(
    scores: pd.DataFrame, budget: str, methods: Mapping[str, str], evaluations: Mapping[str, str]
) -> Chart:
    """Chart each test subject's macro-F1 by method and evaluation on one split, the mean over the repeats it is in.

    Args:
        scores: Long scores of one split.
        budget: Name of the label budget.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
    """
    means = subject_means(scores, budget)
    order = list(means.groupby("subject")["value"].mean().sort_values().index)
    traces = list(_subject_traces(means, order, methods, evaluations))
    layout = {
        "xaxis": axis("subject, the lowest mean first", type="category", categoryarray=order, tickmode="linear"),
        "yaxis": axis("macro-F1 (%)"),
        "showlegend": False,
    }
    return chart(traces, layout, evaluation="one", method="many")


def subject_means(scores: pd.DataFrame, budget: str) -> pd.DataFrame:
    """Return macro-F1 of each method, evaluation and test subject, the mean over repeats."""
    rows = scores[(scores["metric"] == "macro_f1") & (scores["label_budget"] == budget)]
    rows = rows[rows["group"].str.startswith(SUBJECT)]
    means = rows.groupby(["method", "evaluation", "group"], sort=False)["value"].mean().reset_index()
    return means.assign(subject=means["group"].str.removeprefix(SUBJECT))


def _subject_traces(
    means: pd.DataFrame, order: list[str], methods: Mapping[str, str], evaluations: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    shared = shared_evaluations(means)
    for (method, evaluation), rows in means.groupby(["method", "evaluation"], sort=False):
        number = list(methods).index(method)
        rows = rows.set_index("subject").loc[[name for name in order if name in set(rows["subject"])]]
        chosen = {"method": methods[method]}
        if evaluation in shared and len(shared) > 1:
            chosen["evaluation"] = evaluations[evaluation]
        yield {
            "name": f"{name_row(methods[method], evaluations[evaluation])}, mean {in_percent(rows['value'].mean())}",
            "meta": chosen,
            "mode": "markers",
            "x": list(rows.index),
            "y": rounded(100 * rows["value"]),
            "marker": {"color": colour(number), "symbol": symbol(number), "size": 8},
            "hovertemplate": "subject %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        }
