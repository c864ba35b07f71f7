"""Findings: the comparisons of methods in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from contrastive_har.reports.tables import describe_budget, in_percent
from contrastive_har.scores.claims import LEAST_REPEATS, Claim, Verdict
from contrastive_har.scores.collapse import has_collapsed
from contrastive_har.scores.comparisons import least_repeats
from contrastive_har.scores.table import LATE_RISE

_RISE = 0.01  # of macro-F1 in the second half of training, above which it has not ended


@dataclass(frozen=True)
class Finding:
    """One comparison in a sentence.

    Attributes:
        split: Title of the split.
        family: Evaluation and label budget.
        sentence: The difference, its interval and the result of the test.
        testable: Whether there are enough repeats for any difference of the family to be significant.
        significant: Whether the difference is significant.
    """

    split: str
    family: str
    sentence: str
    testable: bool
    significant: bool


def findings(
    comparisons: pd.DataFrame,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
    level: float,
) -> Iterator[Finding]:
    """Describe each comparison in a sentence.

    Args:
        comparisons: Comparisons, from :func:`compare`.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
        splits: Titles of the splits by name.
        level: Level of significance.
    """
    for (split, evaluation, budget), family in comparisons.groupby(["split", "evaluation", "label_budget"], sort=False):
        enough = least_repeats(len(family), level)
        heading = f"{evaluations[evaluation]}, {describe_budget(budget)}"
        for row in family.itertuples(index=False):
            better, worse = (row.method, row.other) if row.difference >= 0 else (row.other, row.method)
            sign = 1 if row.difference >= 0 else -1
            low, high = sorted((sign * row.low, sign * row.high))
            lead = f"{methods[better]} is {in_percent(abs(row.difference))} points above {methods[worse]}"
            interval = f"interval {in_percent(low)} to {in_percent(high)}, {row.repeats} repeats"
            if row.repeats == 1:
                interval = "one repeat"
            test = f"Holm-corrected p = {row.p_holm:.2g}, rank-biserial correlation {abs(row.rank_biserial):.2f}"
            testable = row.repeats >= enough
            significant = testable and row.p_holm < level
            if not testable:
                verdict = f"a test needs at least {enough} repeats"
            else:
                verdict = f"{'significant' if significant else 'not significant'}: {test}"
            yield Finding(splits[split], heading, f"{lead} ({interval}); {verdict}.", testable, significant)


@dataclass(frozen=True)
class ClaimRow:
    """What the scores say of a claim, in words.

    Attributes:
        claim: The claim.
        where: Split, evaluation and label budget.
        outcome: ``shown``, ``not shown``, or that it needs more repeats or was not tested.
        differences: The method's lead over each control in points, with its interval; or why there is none.
    """

    claim: str
    where: str
    outcome: str
    differences: str


def claim_rows(
    verdicts: Mapping[Claim, Iterable[Verdict]],
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
) -> Iterator[ClaimRow]:
    """Say of each claim whether the scores show it, with the differences that decide.

    Args:
        verdicts: What the scores say of each claim; nothing, where they lack its method or a control.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
        splits: Titles of the splits by name.
    """
    for claim, of_claim in verdicts.items():
        title = f"{claim.title} ({methods.get(claim.method, claim.method)})"
        told = [ClaimRow(title, *_describe_verdict(verdict, methods, evaluations, splits)) for verdict in of_claim]
        missing = [name for name in (claim.method, *claim.controls) if name not in methods]
        reason = f"there is no row {missing[0]}" if missing else "no evaluation is common to all its rows"
        yield from told or [ClaimRow(title, "", "not tested", reason)]


def _describe_verdict(
    verdict: Verdict, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> tuple[str, str, str]:
    """Return where a claim was judged, the outcome, and the differences that decide it."""
    parts = []
    for one in verdict.differences:
        interval = f" ({in_percent(one.low, True)} to {in_percent(one.high, True)})" if verdict.repeats > 1 else ""
        parts.append(f"{in_percent(one.mean, True)}{interval} against {methods[one.control]}")
    family = (splits[verdict.split], evaluations[verdict.evaluation].lower(), describe_budget(verdict.label_budget))
    outcome = {True: "shown", False: "not shown", None: f"needs {LEAST_REPEATS} repeats"}[verdict.holds]
    return ", ".join(family), outcome, "; ".join(parts)


def collapses(last: pd.DataFrame, methods: Mapping[str, str], splits: Mapping[str, str]) -> Iterator[str]:
    """Say of each method whose pre-training has collapsed in which split, and how often.

    Args:
        last: Measures of the last epoch of each pre-training: split, method, repeat, and those of the history.
        methods: Titles of the methods by name.
        splits: Titles of the splits by name.
    """
    for (split, method), repeats in last.groupby(["split", "method"], sort=False):
        count = sum(has_collapsed(row) for row in repeats.to_dict("records"))
        if count:
            yield (
                f"{splits[split]}: the pre-training of {methods[method]} has collapsed in {count} of {len(repeats)} "
                "repeats: nearly all windows are embedded or projected alike, and its scores are those of a failure."
            )


def unfinished(
    scores: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Iterator[str]:
    """Say whose macro-F1 was still rising at the end of training with labels: by a point on average, in every repeat.

    Args:
        scores: Scores of all repeats.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
        splits: Titles of the splits by name.
    """
    rises = scores[scores["metric"] == LATE_RISE]
    for (split, evaluation, budget), family in rises.groupby(["split", "evaluation", "label_budget"], sort=False):
        repeats = family.groupby("method", sort=False)["value"]
        mean = repeats.mean()[(repeats.mean() > _RISE) & (repeats.min() > 0)]
        if len(mean):
            by = dict.fromkeys(in_percent(value) for value in (mean.min(), mean.max()))
            rows = "; ".join(methods[name] for name in mean.index)  # titles have commas
            yield (
                f"{splits[split]}, {evaluations[evaluation].lower()}, {describe_budget(budget)}: in the second half of "
                f"training macro-F1 still rose by {' to '.join(by)} points ({rows}); "
                "more epochs or steps would change these scores."
            )
