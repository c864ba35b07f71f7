"""Result tables for people: rows of formatted cells, shared by every rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class ResultTable:
    """One split's results.

    Attributes:
        title: Of the split.
        leak_free: Whether test data were unseen.
        published: Whether there is any published number to compare with.
        fractions: Column groups, such as ``1 %``.
        rows: (method, evaluation, one dictionary of formatted values per fraction).
    """

    title: str
    leak_free: bool
    published: bool
    fractions: list[str]
    rows: list[tuple[str, str, list[dict[str, str]]]]


def result_tables(
    summary: pd.DataFrame,
    splits: Mapping[str, Mapping[str, Any]],
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
) -> list[ResultTable]:
    """Return one table a split, of the label fractions that all its rows have.

    Args:
        summary: From :func:`contrastive_har.reports.statistics.summarise`.
        splits: Settings by name (``title``, ``leak_free``).
        methods: Titles by name.
        evaluations: Titles by name.
    """
    indexed = summary.set_index(["split", "method", "evaluation", "label_fraction", "metric"]).sort_index()
    tables = []
    for split, settings in splits.items():
        mine = summary[summary["split"] == split]
        shares = shares_of_all(mine)
        pairs = mine[["method", "evaluation"]].drop_duplicates().itertuples(index=False)
        rows = [
            (
                methods[method],
                evaluations[evaluation],
                [_cell(indexed, (split, method, evaluation, share)) for share in shares],
            )
            for method, evaluation in pairs
        ]
        tables.append(
            ResultTable(
                title=str(settings["title"]),
                leak_free=bool(settings["leak_free"]),
                published=bool(mine["published"].notna().any()),
                fractions=[percent_of_labels(share) for share in shares],
                rows=rows,
            )
        )
    return tables


def shares_of_all(summary: pd.DataFrame) -> list[float]:
    """Return the label fractions at which every method and evaluation was scored, ascending."""
    rows = summary.groupby(["split", "method", "evaluation"])["label_fraction"].unique()
    return sorted(set.intersection(*map(set, rows)))


def name_row(method: str, evaluation: str) -> str:
    """Return how a method and its evaluation are called together."""
    return f"{method}, {evaluation.lower()}"


def percent_of_labels(share: float) -> str:
    """Return a label fraction for people, such as ``1 %``."""
    return f"{100 * share:.3g} %"


def in_percent(value: float, signed: bool = False) -> str:
    """Return a score of 0..1 in per cent with one decimal; a dash for none."""
    if not np.isfinite(value):
        return "–"
    return f"{100 * value:{'+' if signed else ''}.1f}"


def _cell(indexed: pd.DataFrame, key: tuple[str, str, str, float]) -> dict[str, str]:
    """Return the formatted values of one cell of a result table."""
    primary = indexed.loc[(*key, "macro_f1")]
    others = {
        name: in_percent(indexed.loc[(*key, name), "mean"]) for name in indexed.loc[key].index if name != "macro_f1"
    }
    return {
        "mean": in_percent(primary["mean"]),
        "sd": in_percent(primary["sd"]),
        "interval": f"{in_percent(primary['low'])} to {in_percent(primary['high'])}",
        "published": in_percent(primary["published"]),
        "difference": in_percent(primary["difference"], signed=True),
        **others,
    }


def console_table(summary: pd.DataFrame) -> str:
    """Return macro-F1 (mean ± sd, in per cent) by split, method, evaluation and label fraction, as plain text."""
    rows = summary[(summary["metric"] == "macro_f1") & summary["label_fraction"].isin(shares_of_all(summary))]
    text = rows.assign(
        cell=[f"{in_percent(mean)} ± {in_percent(sd)}" for mean, sd in zip(rows["mean"], rows["sd"], strict=True)],
        labels=[percent_of_labels(share) for share in rows["label_fraction"]],
    )
    index = ["split", "method", "evaluation"]
    order = text[index].drop_duplicates()
    wide = text.pivot(index=index, columns="labels", values="cell").loc[list(order.itertuples(index=False, name=None))]
    wide = wide[list(text.sort_values("label_fraction")["labels"].unique())].reset_index()
    return f"macro-F1 in per cent, by share of labels\n{wide.rename_axis(columns=None).to_string(index=False)}"
