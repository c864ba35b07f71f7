"""Claims: a method has to beat every control, by intervals that are computed here by themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrastive_har.scores.claims import LEAST_REPEATS, Claim, Verdict, judge
from contrastive_har.scores.statistics import ReportSettings
from tests.scores.examples import paired_scores

SETTINGS = ReportSettings(resamples=2000)


@pytest.fixture
def scores() -> pd.DataFrame:
    return paired_scores()


def _judge(scores: pd.DataFrame, method: str, *controls: str) -> dict[str, Verdict]:
    claim = Claim(title="It helps", method=method, controls=controls)
    return {verdict.evaluation: verdict for verdict in judge(scores, claim, SETTINGS)}


def test_a_claim_is_shown_only_against_every_control(scores: pd.DataFrame) -> None:
    """``a`` is far above the others, ``b`` and ``c`` differ by chance."""
    assert _judge(scores, "a", "b", "c", "base")["linear"].holds is True
    assert _judge(scores, "b", "base")["linear"].holds is True
    assert _judge(scores, "b", "base", "c")["linear"].holds is False
    assert _judge(scores, "b", "base", "a")["linear"].holds is False
    same = scores[scores["method"] == "a"].assign(method="same")
    assert _judge(pd.concat([scores, same]), "a", "same")["linear"].holds is False, "the interval is 0"


def test_differences_are_paired_and_their_intervals_those_of_a_bootstrap(scores: pd.DataFrame) -> None:
    verdict = _judge(scores, "a", "b")["linear"]
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == "all") & (scores["evaluation"] == "linear")]
    a, b = (whole[whole["method"] == name].sort_values("repeat")["value"].to_numpy() for name in "ab")
    draws = np.random.default_rng(1).integers(len(a), size=(20_000, len(a)))
    low, high = np.quantile((a - b)[draws].mean(1), [0.025, 0.975])
    (difference,) = verdict.differences
    assert (difference.control, verdict.repeats, verdict.label_budget) == ("b", len(a), "1 %")
    assert difference.mean == pytest.approx((a - b).mean())
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=0.003)


def test_nothing_is_said_of_few_repeats_or_without_a_control(scores: pd.DataFrame) -> None:
    assert _judge(scores[scores["repeat"] < LEAST_REPEATS - 1], "a", "b")["linear"].holds is None
    assert _judge(scores[scores["repeat"] < LEAST_REPEATS], "a", "b")["linear"].holds is True
    assert _judge(scores[scores["method"] != "c"], "a", "b", "c") == {}


def test_a_method_is_no_control_of_itself() -> None:
    with pytest.raises(ValueError, match="its own method 'a' among its controls"):
        Claim(title="It helps", method="a", controls=("b", "a"))
