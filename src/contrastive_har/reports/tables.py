"""Result tables: rows of formatted cells, shared by every rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_har.scores.table import SEQUENCE
from contrastive_har.signals.budgets import parse_budget, sort_budgets


@dataclass(frozen=True)
class ResultTable:
    """One split's results.

    Attributes:
        title: Title of the split.
        leak_free: Whether test data were unseen.
        held_out: Group by which test data are held out.
        sequences: Whether averaging over neighbouring windows changes a score: clips have no neighbours.
        published: Whether there are published numbers to compare with.
        budgets: Column groups, such as ``1 % of the labels``.
        rows: (method, evaluation, one dictionary of formatted values per label budget).
    """

    title: str
    leak_free: bool
    held_out: str
    sequences: bool
    published: bool
    budgets: list[str]
    rows: list[tuple[str, str, list[dict[str, str]]]]


def result_tables(
    summary: pd.DataFrame,
    splits: Mapping[str, Mapping[str, Any]],
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
) -> list[ResultTable]:
    """Return one table per split, with the label budgets that all its rows have.

    Args:
        summary: Summary, from :func:`contrastive_har.scores.statistics.summarise`.
        splits: Settings of the splits by name (``title``, ``leak_free``, ``held_out``).
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
    """
    indexed = summary.set_index(["split", "method", "evaluation", "label_budget", "metric"]).sort_index()
    tables = []
    for split, settings in splits.items():
        rows_of_split = summary[summary["split"] == split]
        budgets = budgets_of_all(rows_of_split)
        pairs = rows_of_split[["method", "evaluation"]].drop_duplicates().itertuples(index=False)
        rows = [
            (
                methods[method],
                evaluations[evaluation],
                [_cell(indexed, (split, method, evaluation, budget)) for budget in budgets],
            )
            for method, evaluation in pairs
        ]
        tables.append(
            ResultTable(
                title=str(settings["title"]),
                leak_free=bool(settings["leak_free"]),
                held_out=str(settings["held_out"]),
                sequences=_has_sequences(rows_of_split),
                published=bool(rows_of_split.loc[rows_of_split["metric"] == "macro_f1", "published"].notna().any()),
                budgets=[describe_budget(budget) for budget in budgets],
                rows=rows,
            )
        )
    return tables


def _has_sequences(summary: pd.DataFrame) -> bool:
    keys = ["method", "evaluation", "label_budget"]
    of_windows, averaged = (
        summary[summary["metric"] == metric].set_index(keys)["mean"] for metric in ("macro_f1", SEQUENCE)
    )
    return bool((averaged - of_windows).abs().gt(0).any())


def budgets_of_all(summary: pd.DataFrame) -> list[str]:
    """Return the label budgets with which every method and evaluation was scored, the smallest first."""
    rows = summary.groupby(["split", "method", "evaluation"])["label_budget"].unique()
    return sort_budgets(list(set.intersection(*map(set, rows))))


def name_row(method: str, evaluation: str) -> str:
    """Return the name of a row: method and evaluation."""
    return f"{method}, {evaluation.lower()}"


def describe_budget(name: str) -> str:
    """Return a label budget in words, such as ``1 % of the labels``."""
    budget = parse_budget(name)
    words = {
        "share": f"{name} of the labels",
        "per_class": f"{budget.size:g} label{'s' if budget.size != 1 else ''} per class",
        "long_tail": f"labels in a {name}",
        "subjects": f"labels of {budget.size:g} % of the subjects",
        "without": f"no labels of {budget.without}",
    }
    return words[budget.kind]


def in_percent(value: float, signed: bool = False) -> str:
    """Return a score of 0..1 in per cent with one decimal; a dash for none."""
    if not np.isfinite(value):
        return "–"
    return f"{100 * value:{'+' if signed else ''}.1f}"


def _cell(indexed: pd.DataFrame, key: tuple[str, str, str, str]) -> dict[str, str]:
    """Return the formatted values of one cell of a result table."""
    primary = indexed.loc[(*key, "macro_f1")]
    others = {}
    for name in indexed.loc[key].index:
        other = indexed.loc[(*key, name)]
        published = f" (published {in_percent(other['published'])})" if np.isfinite(other["published"]) else ""
        others[name] = in_percent(other["mean"]) + published
    return {
        "mean": in_percent(primary["mean"]),
        "sd": in_percent(primary["sd"]),
        "interval": f"{in_percent(primary['low'])} to {in_percent(primary['high'])}",
        "published": in_percent(primary["published"]),
        "difference": in_percent(primary["difference"], signed=True),
        **others,
    }


def console_table(summary: pd.DataFrame) -> str:
    """Return macro-F1 (mean ± sd, in per cent) by split, method, evaluation and label budget, as plain text."""
    rows = summary[(summary["metric"] == "macro_f1") & summary["label_budget"].isin(budgets_of_all(summary))]
    text = rows.assign(
        cell=[f"{in_percent(mean)} ± {in_percent(sd)}" for mean, sd in zip(rows["mean"], rows["sd"], strict=True)],
        labels=rows["label_budget"],
    )
    index = ["split", "method", "evaluation"]
    order = text[index].drop_duplicates()
    wide = text.pivot(index=index, columns="labels", values="cell").loc[list(order.itertuples(index=False, name=None))]
    wide = wide[sort_budgets(list(text["labels"].unique()))].reset_index()
    return f"macro-F1 in per cent, by labels\n{wide.rename_axis(columns=None).to_string(index=False)}"
