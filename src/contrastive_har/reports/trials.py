"""The page of trials: tables of strategies that choose the windows to label, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tables import in_percent
from contrastive_har.scores.trials import AREA

_KEYS = ["split", "method", "wrong_labels"]


def write_page(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    methods: Mapping[str, str],
    splits: Mapping[str, str],
    level: float,
) -> str:
    """Return the page as Markdown; titles are escaped.

    Args:
        summary: From :func:`contrastive_har.scores.trials.summarise_trials`.
        comparisons: From :func:`contrastive_har.scores.trials.compare_trials`.
        methods: Titles of the methods.
        splits: Titles of the splits.
        level: Level of significance.
    """
    reference = str(comparisons["other"].iloc[0])
    trials = int(summary["trials"].max())
    of_reference = summary[(summary["strategy"] == reference) & (summary["measure"] == "macro_f1")]
    costs = of_reference.groupby("labels")["signal_seconds"].mean()
    curves = []
    for values, rows in summary.groupby(_KEYS, sort=False):
        split, method, wrong = values
        of_rows = comparisons[(comparisons[_KEYS] == list(values)).all(axis=1)]
        labels = sorted(rows.loc[rows["labels"] > 0, "labels"].unique())
        curve = {
            "method": methods[str(method)],
            "split": splits[str(split)].lower(),
            "wrong": f", {100 * wrong:g} % of labels wrong" if wrong else "",
            "labels": labels,
            "rows": list(_rows(rows, of_rows, labels, level)),
            "sentences": list(sentences(rows, of_rows, reference, level)),
        }
        curves.append(curve)
    return page_template("trials.md.j2").render(
        trials=trials,
        reference=reference,
        level=f"{level:g}",
        costs=[f"{cost:.0f}" for cost in costs],
        curves=curves,
    )


def _rows(
    rows: pd.DataFrame, comparisons: pd.DataFrame, labels: Sequence[int], level: float
) -> Iterator[tuple[str, list[str]]]:
    """Yield the scores of each strategy by number of labels, their area, and the seconds."""
    columns = [*(("macro_f1", count) for count in labels), (AREA, 0)]
    signs = {
        (row.strategy, row.measure, row.labels): ("" if row.p_holm >= level else "+" if row.difference > 0 else "−")
        for row in comparisons.itertuples(index=False)
    }
    for strategy, of_strategy in rows.groupby("strategy", sort=False):
        cells = of_strategy.set_index(["measure", "labels"])
        texts = [
            f"{in_percent(cells.loc[key, 'mean'])} ± {in_percent(cells.loc[key, 'sd'])}"
            f" {signs.get((strategy, *key), '')}".rstrip()
            for key in columns
        ]
        yield str(strategy), [*texts, f"{cells.loc[(AREA, 0), 'seconds']:.1f}"]


def sentences(rows: pd.DataFrame, comparisons: pd.DataFrame, reference: str, level: float) -> Iterator[str]:
    """Yield what the chosen labels of the best strategy are worth, and where strategies are below the reference.

    They are Markdown.

    Args:
        rows: Summary of one curve: split, method and share of wrong labels.
        comparisons: Comparisons of that curve.
        reference: The strategy that all others are compared with.
        level: Level of significance.
    """
    areas = rows[rows["measure"] == AREA].set_index("strategy")["mean"]
    best = str(areas.idxmax())
    if best != reference:
        of_best = rows[(rows["strategy"] == best) & (rows["measure"] == "macro_f1")].sort_values("labels")
        most = int(of_best["labels"].max())
        worth = [
            f"{count} are worth {f'{worth:.0f}' if np.isfinite(worth) else f'more than {most}'} of `{reference}`"
            for count, worth in of_best[["labels", "worth"]].itertuples(index=False)
            if not np.isnan(worth) and count < most
        ]
        yield f"Best by area: `{best}`. Of its labels, {', '.join(worth)}."
    below = comparisons[(comparisons["p_holm"] < level) & (comparisons["difference"] < 0)]
    for strategy, found in below[below["measure"] == "macro_f1"].groupby("strategy", sort=False):
        yield f"`{strategy}` is significantly below `{reference}` with {', '.join(map(str, found['labels']))} labels."
