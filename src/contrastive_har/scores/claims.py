"""Claims: what a method is said to show, and the rows without its idea that it has to beat for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from pydantic import Field, model_validator

from contrastive_har.scores.comparisons import compare_pair, families
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.strict import StrictModel

LEAST_REPEATS = 5
"""Repeats below which nothing is said: an interval of fewer differences proves nothing."""


class Claim(StrictModel):
    """What a method is said to show.

    Attributes:
        title: The claim in a few words, such as "Shared words help".
        method: The method that has the idea.
        controls: Methods that lack it, and all that it has to beat: being ahead of one that lacks something else, too,
            does not show that the idea is the cause.
    """

    title: str
    method: str
    controls: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_compared_with_others(self) -> Claim:
        if self.method in self.controls:
            raise ValueError(f"claim '{self.title}' has its own method '{self.method}' among its controls")
        return self


@dataclass(frozen=True)
class Difference:
    """A claim's method minus one of its controls in macro-F1, paired by repeat, with its bootstrap interval."""

    control: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """What the scores say of a claim on one split, by one evaluation, with one label budget.

    Attributes:
        claim: The claim.
        split: Name of the split.
        evaluation: Name of the evaluation.
        label_budget: Name of the label budget.
        repeats: Number of repeats.
        differences: One for each control.
    """

    claim: Claim
    split: str
    evaluation: str
    label_budget: str
    repeats: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool | None:
        """Whether every interval lies above 0; None with too few repeats to say."""
        if self.repeats < LEAST_REPEATS:
            return None
        return all(difference.low > 0 for difference in self.differences)


def judge(scores: pd.DataFrame, claim: Claim, settings: ReportSettings) -> Iterator[Verdict]:
    """Judge a claim in every family of scores that has its method and all its controls; in none, if there is none.

    Args:
        scores: Long scores.
        claim: The claim.
        settings: Confidence level and resamples of the intervals.
    """
    for family in families(scores):
        if not {claim.method, *claim.controls} <= set(family.scores):
            continue
        pairs = {name: compare_pair(family.scores, claim.method, name, settings) for name in claim.controls}
        differences = [Difference(name, pair["difference"], pair["low"], pair["high"]) for name, pair in pairs.items()]
        repeats = min(int(pair["repeats"]) for pair in pairs.values())
        yield Verdict(claim, family.split, family.evaluation, family.label_budget, repeats, tuple(differences))
