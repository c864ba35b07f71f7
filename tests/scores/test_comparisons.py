"""Paired tests against literal enumerations, textbook examples and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from contrastive_har.scores import comparisons
from contrastive_har.scores.statistics import ReportSettings
from tests.scores.examples import paired_scores


@pytest.fixture
def scores() -> pd.DataFrame:
    return paired_scores()


def test_families_hold_those_judged_one_way_only(scores: pd.DataFrame) -> None:
    found = {family.evaluation: list(family.scores.columns) for family in comparisons.families(scores)}
    assert found == {"linear": ["a", "b", "c", "base"], "fine": ["a", "b", "c", "base"]}


def test_methods_with_one_evaluation_each_are_one_family(scores: pd.DataFrame) -> None:
    """Whatever evaluations they share: rows that differ in their heads are compared once."""
    alone = scores[scores["evaluation"] != "fine"].drop_duplicates(["method", "repeat", "metric", "group"])
    for names in ("linear linear linear x", "linear linear x x", "w x y z"):
        evaluation = dict(zip(["a", "b", "c", "base"], names.split(), strict=True))
        renamed = alone.assign(evaluation=alone["method"].map(evaluation))
        (family,) = comparisons.families(renamed)
        assert list(family.scores.columns) == ["a", "b", "c", "base"]


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


def test_a_repeat_that_a_method_lacks_is_left_out(scores: pd.DataFrame) -> None:
    wide = next(comparisons.families(scores)).scores
    lacking = wide.copy()
    lacking.loc[lacking.index[0], "a"] = np.nan
    settings = ReportSettings(resamples=200)
    found = comparisons.compare_pair(lacking, "b", "a", settings)
    assert found == comparisons.compare_pair(wide.iloc[1:], "b", "a", settings)
    assert found["repeats"] == len(wide) - 1


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
