"""What comparisons show: in sentences, and as a figure of ranks."""

from __future__ import annotations

import pandas as pd
import pytest

from contrastive_har.reports import figures
from contrastive_har.reports import findings as told
from contrastive_har.reports.figures.style import draw_png, is_empty
from contrastive_har.scores import comparisons
from contrastive_har.scores.claims import Claim, judge
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import LATE_RISE
from tests.scores.examples import paired_scores

METHODS = {"a": "A", "b": "B", "c": "C", "base": "Baseline"}
EVALUATIONS = {"linear": "Linear", "fine": "Fine-tuning", "alone": "Alone"}


@pytest.fixture
def scores() -> pd.DataFrame:
    return paired_scores()


def test_sentences_say_what_the_test_says(scores: pd.DataFrame) -> None:
    def findings(table: pd.DataFrame) -> dict[str, told.Finding]:
        compared = comparisons.compare(table, "b", ReportSettings(resamples=200))
        said = told.findings(compared, METHODS, EVALUATIONS, {"s": "A split"}, 0.05)
        return {one.sentence.split(" (")[0]: one for one in said if one.family == "Linear, 1 % of the labels"}

    found = findings(scores)
    real = next(one for lead, one in found.items() if lead.startswith("A is ") and lead.endswith("above B"))
    assert real.significant
    assert "; significant: Holm-corrected p = 0.0" in real.sentence
    chance = next(one for lead, one in found.items() if {"B", "C"} <= set(lead.split()))
    assert not chance.significant
    assert "; not significant" in chance.sentence
    few = findings(scores[scores["repeat"] < 3])
    assert all("a test needs at least 7 repeats" in one.sentence for one in few.values())
    assert not any(one.significant for one in few.values())


def test_ranks_are_drawn_where_there_are_enough_repeats(scores: pd.DataFrame) -> None:
    figure = figures.draw_critical_differences(scores, "s", METHODS, EVALUATIONS, 0.05)
    assert [axis.get_title().split(":")[0] for axis in figure.axes] == [
        "Linear, 1 % of the labels",
        "Fine-tuning, 1 % of the labels",
    ]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (names[0], names[-1]) == ("A", "Baseline")
    few = figures.draw_critical_differences(scores[scores["repeat"] < 4], "s", METHODS, EVALUATIONS, 0.05)
    assert is_empty(draw_png(few))
    assert not is_empty(draw_png(figure))


def test_a_collapse_is_told() -> None:
    """Of the last epochs of all repeats; what was not measured shows none."""
    good = {"deviation": 0.5, "effective_rank": 20.0, "uniformity": float("nan")}
    rows = [
        {"split": "s", "method": "a", "repeat": 0, **good},
        {"split": "s", "method": "a", "repeat": 1, **good, "deviation": 0.01},
        {"split": "s", "method": "b", "repeat": 0, **good},
        {"split": "s", "method": "c", "repeat": 0, **good, "effective_rank": 1.1},
    ]
    said = list(told.collapses(pd.DataFrame(rows), METHODS, {"s": "A split"}))
    assert [one.split(":")[0] + one.split(":")[1] for one in said] == [
        "A split the pre-training of A has collapsed in 1 of 2 repeats",
        "A split the pre-training of C has collapsed in 1 of 1 repeats",
    ]


def test_training_that_has_not_ended_is_told(scores: pd.DataFrame) -> None:
    """Where macro-F1 rose by more than a point on average, and in every repeat, in the second half of training."""
    rises = {"a": 0.03, "b": 0.005, "c": 0.02, "base": -0.1}
    late = scores[scores["metric"] == "macro_f1"].assign(metric=LATE_RISE)
    late["value"] = late["method"].map(rises)
    late.loc[(late["method"] == "c") & (late["repeat"] == 3) & (late["evaluation"] == "fine"), "value"] = -0.001
    said = list(told.unfinished(pd.concat([scores, late]), METHODS, EVALUATIONS, {"s": "A split"}))
    assert [one.split(" rose by ")[1].split("); ")[0] for one in said] == ["2.0 to 3.0 points (A; C", "3.0 points (A"]
    assert said[0].startswith("A split, linear, 1 % of the labels: in the second half of training macro-F1 still")
    assert not list(told.unfinished(scores, METHODS, EVALUATIONS, {"s": "A split"}))


def test_claims_are_told_with_what_decides_them(scores: pd.DataFrame) -> None:
    def rows(table: pd.DataFrame, *controls: str) -> list[told.ClaimRow]:
        claim = Claim(title="It helps", method="a", controls=controls or ("b", "c"))
        verdicts = {claim: judge(table, claim, ReportSettings(resamples=200))}
        return list(told.claim_rows(verdicts, METHODS, EVALUATIONS, {"s": "A split"}))

    first = rows(scores)[0]
    assert (first.claim, first.where, first.outcome) == (
        "It helps (A)",
        "A split, linear, 1 % of the labels",
        "shown",
    )
    against = first.differences.split("; ")
    assert [part.rpartition(" against ")[2] for part in against] == ["B", "C"]
    assert all(part.startswith("+") and " to +" in part for part in against)
    assert rows(scores[scores["repeat"] < 3])[0].outcome == "needs 5 repeats"
    assert "(" not in rows(scores[scores["repeat"] < 1])[0].differences
    for controls, reason in (
        (("b", "gone"), "there is no row gone"),
        (("b",), "no evaluation is common to all its rows"),
    ):
        kept = scores if "gone" in controls else scores[scores["method"] != "b"]
        (row,) = rows(kept, *controls)
        assert (row.claim, row.where, row.outcome, row.differences) == ("It helps (A)", "", "not tested", reason)
