"""What each modality contributes: scores by modality, and whether pre-training with others helps one alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contrastive_har.reports.tables import describe_budget, in_percent
from contrastive_har.scores.cells import parse_evaluation
from contrastive_har.scores.comparisons import least_repeats
from contrastive_har.signals.budgets import sort_budgets

_ALL = "all"


@dataclass(frozen=True)
class ContributionTable:
    """Macro-F1 of each method by the modalities in use.

    Attributes:
        title: Split, evaluation and label budget.
        modalities: The columns.
        rows: (method, formatted scores).
    """

    title: str
    modalities: list[str]
    rows: list[tuple[str, list[str]]]


def contribution_tables(
    summary: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> list[ContributionTable]:
    """Return one table per split, evaluation and label budget that was scored by modality; none without modalities.

    Args:
        summary: Summary of the scores.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations as configured.
        splits: Titles of the splits by name.
    """
    rows = summary[summary["metric"] == "macro_f1"]
    parsed = [parse_evaluation(name) for name in rows["evaluation"]]
    rows = rows.assign(base=[base for base, _ in parsed], modalities=[" + ".join(of) or _ALL for _, of in parsed])
    tables = []
    for (split, base), part in rows.groupby(["split", "base"], sort=False):
        columns = list(part["modalities"].unique())
        if columns == [_ALL]:
            continue
        for budget in sort_budgets(list(part["label_budget"].unique())):
            of_budget = part[part["label_budget"] == budget]
            cells = {
                (row.method, row.modalities): f"{in_percent(row.mean)} ± {in_percent(row.sd)}"
                for row in of_budget.itertuples(index=False)
            }
            scored = of_budget["method"].unique()
            table_rows = [(methods[name], [cells.get((name, column), "") for column in columns]) for name in scored]
            title = f"{splits[str(split)]}, {evaluations[str(base)].lower()}, {describe_budget(budget)}"
            tables.append(ContributionTable(title, columns, table_rows))
    return tables


def modality_sentences(
    comparisons: pd.DataFrame,
    alone: str,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
    level: float,
) -> Iterator[str]:
    """Say for each single modality whether pre-training across modalities helps it.

    Args:
        comparisons: Comparisons of the reference method, which is trained across modalities, with every other.
        alone: The method that trains each modality by itself.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
        splits: Titles of the splits by name.
        level: Level of significance.
    """
    of_one = np.array([len(parse_evaluation(name)[1]) == 1 for name in comparisons["evaluation"]], bool)
    single = comparisons[(comparisons["other"] == alone) & of_one]
    for row in single.itertuples(index=False):
        (modality,) = parse_evaluation(row.evaluation)[1]
        size = len(comparisons.query("split == @row.split and evaluation == @row.evaluation")["other"].unique())
        needed = least_repeats(size, level)
        if row.repeats < needed:
            verdict = f"may help or hurt: a test needs at least {needed} repeats"
        elif row.p_holm < level:
            verdict = "helps" if row.difference > 0 else "hurts"
        else:
            verdict = "makes no difference that can be told from chance"
        interval = f", interval {in_percent(row.low, True)} to {in_percent(row.high, True)}" if row.repeats > 1 else ""
        yield (
            f"{modality} alone ({splits[row.split].lower()}, {evaluations[row.evaluation].lower()}, "
            f"{describe_budget(row.label_budget)}): {methods[row.method]} {in_percent(row.difference, True)} points "
            f"against {methods[alone]} ({row.repeats} repeats{interval}): training with the other modalities {verdict}."
        )
