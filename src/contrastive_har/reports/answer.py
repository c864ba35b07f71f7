"""The answer of a protocol: what it found, in a sentence, and what it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from contrastive_har.reports.tables import budgets_of_all, describe_budget, in_percent
from contrastive_har.scores.cells import parse_evaluation, title_evaluations
from contrastive_har.scores.comparisons import least_repeats
from contrastive_har.scores.table import VALIDATION

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Answer:
    """The answer of a protocol.

    Attributes:
        sentence: The best score with the fewest labels, beside those of the baselines.
        doubt: Which differences are, or could be, significant.
        split: Name of the split that it is about.
        budget: Name of the label budget that it is about.
    """

    sentence: str
    doubt: str
    split: str
    budget: str


def best_rows(summary: pd.DataFrame, budget: str) -> pd.DataFrame:
    """Return macro-F1 of each split and method by its best evaluation with a label budget, the best first.

    On a split whose rows all have one, the best has the best mean validation score, in the column ``chosen_by``;
    elsewhere the best score on test windows, which is then optimistic. The column ``validated`` says which.
    """
    of_budget = summary[summary["label_budget"] == budget]
    row = ["split", "method", "evaluation"]
    validation = of_budget[of_budget["metric"] == VALIDATION].set_index(row)["mean"]
    rows = of_budget[of_budget["metric"] == "macro_f1"].join(validation.rename("chosen_by"), on=row)
    rows["validated"] = rows["chosen_by"].notna().groupby(rows["split"]).transform("all")
    rows["chosen_by"] = rows["chosen_by"].where(rows["validated"], rows["mean"])
    best = rows.sort_values("chosen_by", ascending=False, kind="stable").drop_duplicates(["split", "method"])
    return best.sort_values("mean", ascending=False, kind="stable")


def asked(summary: pd.DataFrame, splits: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Return the split and the label budget of the question: unseen people if there are, and the fewest labels."""
    scored = [name for name in splits if name in set(summary["split"])]
    return next((name for name in scored if splits[name]["leak_free"]), scored[0]), budgets_of_all(summary)[0]


def ranked(summary: pd.DataFrame, split: str, budget: str) -> pd.DataFrame:
    """Return the best rows of a split with a label budget, by what chooses them: the first is the answer."""
    rows = best_rows(summary, budget)
    return rows[rows["split"] == split].sort_values("chosen_by", ascending=False, kind="stable")


def answer(
    summary: pd.DataFrame, comparisons: pd.DataFrame, protocol: Mapping[str, Any], classes: int, level: float
) -> Answer:
    """Answer the question of a protocol: how well activities are recognised with the fewest labels.

    Args:
        summary: One row per cell and metric.
        comparisons: Comparisons of methods, from :func:`contrastive_har.scores.comparisons.compare`.
        protocol: Settings of the protocol as plain data.
        classes: Number of activities.
        level: Level of significance.
    """
    splits = protocol["splits"]
    split, budget = asked(summary, splits)
    best, *others = ranked(summary, split, budget).itertuples(index=False)
    chosen_on = "validation" if best.validated else "these test"
    parts = [
        f"With {describe_budget(budget)}, {_title(protocol, best.method)} recognises {count_in_words(classes)} "
        f"activities best ({splits[split]['title'].lower()}; chosen on {chosen_on} windows): macro-F1 {_score(best)} %"
    ]
    untrained = [row for row in others if _is_untrained(row, protocol) and _is_frozen(row, protocol)]
    plain = next((row for row in untrained if _is_plain(row, protocol)), None)
    if not _is_untrained(best, protocol):
        fixed = [row for row in untrained[:1] if row != plain]
        parts += [f"without pre-training, {_title(protocol, row.method)} has {_score(row)} %" for row in fixed]
    elif pretrained := next((row for row in others if not _is_untrained(row, protocol)), None):
        parts.append(f"the best pre-trained encoder ({_title(protocol, pretrained.method)}) has {_score(pretrained)} %")
    if plain:
        parts.append(f"an untrained encoder has {_score(plain)} %")
    family = comparisons[(comparisons["split"] == split) & (comparisons["label_budget"] == budget)]
    return Answer("; ".join(parts) + ".", _doubt(family, str(best.evaluation), protocol, level), split, budget)


_UNTRAINED = "untrained"  # name of the objective that trains nothing


def count_in_words(number: int) -> str:
    """Return a small number in words."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _title(protocol: Mapping[str, Any], method: str) -> str:
    return str(protocol["methods"][method]["title"])


def _score(row: Any) -> str:
    return in_percent(row.mean) + (f" ± {in_percent(row.sd)}" if pd.notna(row.sd) else "")


def _is_untrained(row: Any, protocol: Mapping[str, Any]) -> bool:
    return bool(protocol["methods"][row.method]["objective"]["name"] == _UNTRAINED)


def _is_frozen(row: Any, protocol: Mapping[str, Any]) -> bool:
    return bool(protocol["evaluations"][parse_evaluation(row.evaluation)[0]]["trained_stages"] == 0)


def _is_plain(row: Any, protocol: Mapping[str, Any]) -> bool:
    """Return whether a row has the protocol's encoder, and nothing beside it."""
    method = protocol["methods"][row.method]
    return method["encoder"]["name"] == protocol["encoder"]["name"] and not method.get("beside")


def _doubt(family: pd.DataFrame, evaluation: str, protocol: Mapping[str, Any], level: float) -> str:
    """Return which methods cannot be told apart from the one that all are compared with, by one evaluation.

    It is that of the best row, or if the reference lacks it, the one by which most methods are compared.
    """
    reference = _title(protocol, protocol["compared_with"])
    if family.empty:
        return f"Nothing was compared: no other method has an evaluation of {reference}."
    counts = family["evaluation"].value_counts()
    chosen = evaluation if evaluation in counts else str(counts.index[0])
    of_evaluation = family[family["evaluation"] == chosen]
    comparisons = len(of_evaluation)
    repeats, enough = int(of_evaluation["repeats"].min()), least_repeats(comparisons, level)
    if repeats < enough:
        return (
            f"{count_in_words(repeats).capitalize()} repeat{'s' if repeats > 1 else ''}: no difference here can be "
            f"significant. A family of {comparisons} comparisons needs repeats={enough} or more, a single comparison "
            f"repeats={least_repeats(1, level)}."
        )
    by_method = of_evaluation.set_index("other")["p_holm"]
    apart = [_title(protocol, str(name)) for name in by_method.index[by_method < level]]
    together = [_title(protocol, str(name)) for name in by_method.index[by_method >= level]]
    title = title_evaluations({name: of["title"] for name, of in protocol["evaluations"].items()}, [chosen])[chosen]
    parts = [f"Significantly different from {reference} ({title}): {', '.join(apart) or 'no method'}"]
    if together:
        parts.append(f"not told apart from it: {', '.join(together)}")
    return "; ".join(parts) + "."
