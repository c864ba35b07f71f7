"""Paired tests against literal enumerations, textbook examples and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from contrastive_har.reports import figures
from contrastive_har.reports import findings as told
from contrastive_har.scores import comparisons
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import EVERYTHING, SCORE_COLUMNS

METHODS = {"a": "A", "b": "B", "c": "C", "base": "Baseline"}
EVALUATIONS = {"linear": "Linear", "fine": "Fine-tuning", "alone": "Alone"}


def long_scores(values: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    rows = [
        {
            "dataset": "d",
            "protocol": "p",
            "split": "s",
            "method": method,
            "evaluation": evaluation,
            "label_fraction": 0.01,
            "repeat": repeat,
            "metric": "macro_f1",
            "group": EVERYTHING,
            "value": value,
        }
        for (method, evaluation), of in values.items()
        for repeat, value in enumerate(of)
    ]
    return pd.DataFrame(rows)[SCORE_COLUMNS]


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    people = rng.normal(0.8, 0.05, 10)  # what all methods share: paired tests see through it
    made = {
        (m, e): (people + shift + rng.normal(0, 0.002, 10)).tolist()
        for m, shift in (("a", 0.05), ("b", 0.0), ("c", 0.0))
        for e in ("linear", "fine")
    }
    return long_scores({**made, ("base", "alone"): (people - 0.1).tolist()})


def test_families_hold_those_judged_one_way_only(scores: pd.DataFrame) -> None:
    found = {family.evaluation: list(family.scores.columns) for family in comparisons.families(scores)}
    assert found == {"linear": ["a", "b", "c", "base"], "fine": ["a", "b", "c", "base"]}


def test_wilcoxon_is_the_enumeration_of_all_signs(scores: pd.DataFrame) -> None:
    table = comparisons.compare(scores, "b", ReportSettings(resamples=200))
    assert set(table["method"]) == {"b"}
    assert set(table["other"]) == {"a", "c", "base"}
    assert comparisons.compare(scores, "nobody", ReportSettings(resamples=200)).empty
    wide = next(comparisons.families(scores)).scores
    for row in table[table["evaluation"] == "linear"].itertuples():
        differences = (wide[row.method] - wide[row.other]).to_numpy()
        ranks = rankdata(abs(differences))
        seen = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
        extreme = [
            min(up := ranks[np.array(signs)].sum(), ranks.sum() - up) <= seen
            for signs in product([True, False], repeat=10)
        ]
        assert row.p == pytest.approx(np.mean(extreme))
        assert row.difference == pytest.approx(differences.mean())
        assert row.low <= row.difference <= row.high
        favour = ranks[differences > 0].sum() / ranks.sum()
        assert row.rank_biserial == pytest.approx(favour - (1 - favour))


def test_holm_by_hand() -> None:
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.9, 0.8]) == [1.0, 1.0]


def test_critical_difference_of_the_textbook() -> None:
    """Demsar 2006, section 3.2.2: four classifiers on fourteen data sets at 0.05 differ by 1.25 ranks."""
    assert comparisons.critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=0.005)


def test_repeats_from_which_a_test_can_tell() -> None:
    for pairs in (1, 3, 36):
        enough = comparisons.least_repeats(pairs, 0.05)
        assert pairs * 2 / 2**enough <= 0.05 < pairs * 2 / 2 ** (enough - 1)


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
    assert all("no test can tell before 7 repeats" in one.sentence for one in few.values())
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
    assert "Five repeats" in few.axes[0].texts[0].get_text()
