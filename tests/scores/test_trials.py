"""Trials: areas, what labels are worth, and paired tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.trials import area, compare_trials, labels_with, summarise_trials
from tests.scores.examples import TRIED, trials

SETTINGS = ReportSettings(resamples=200)


def test_the_area_is_a_mean_over_doublings() -> None:
    assert area(np.array([6, 12, 24]), np.array([0.2, 0.4, 0.6])) == pytest.approx(0.4)
    assert area(np.array([6, 24]), np.array([0.2, 0.6])) == pytest.approx(0.4)
    assert area(np.array([6]), np.array([0.3])) == 0.3


def test_labels_are_interpolated_over_their_logarithm() -> None:
    curve = pd.DataFrame({"labels": [6, 24, 96], "mean": [0.2, 0.4, 0.4]})
    assert labels_with(curve, 0.3) == pytest.approx(12)
    assert labels_with(curve, 0.4) == pytest.approx(24)
    assert labels_with(curve, 0.2) == pytest.approx(6)
    assert np.isinf(labels_with(curve, 0.5))
    assert np.isnan(labels_with(curve, 0.1))


def test_a_strategy_that_is_a_doubling_ahead_is_worth_twice_the_labels() -> None:
    summary = summarise_trials(trials(1.0), "random", SETTINGS).set_index(["strategy", "measure", "labels"])
    assert summary.loc[("chosen", "macro_f1", 12), "worth"] == pytest.approx(24, rel=0.01)
    assert np.isinf(summary.loc[("chosen", "macro_f1", 48), "worth"])
    assert summary.loc[("chosen", "area", 0), "mean"] - summary.loc[("random", "area", 0), "mean"] == pytest.approx(0.1)
    assert (summary["trials"] == 10).all()


@pytest.mark.parametrize("gain", [0.5, -0.5])
def test_differences_are_tested_in_pairs(gain: float) -> None:
    comparisons = compare_trials(trials(gain), "random", SETTINGS)
    assert len(comparisons) == len(TRIED) + 1
    assert (comparisons["p_holm"] < 0.01).all()
    np.testing.assert_allclose(comparisons["difference"], gain / 10)
