"""Trials: areas, what labels are worth, and paired tests."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from contrastive_har.reports.trials import write_page
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.trials import area, compare_trials, labels_with, summarise_trials

SETTINGS = ReportSettings(resamples=200)
LABELS = [6, 12, 24, 48]


def trials(gain: float) -> pd.DataFrame:
    """Scores that rise by a tenth with each doubling of the labels; a strategy is some doublings ahead."""
    rng = np.random.default_rng(0)
    rows = []
    for repeat, draw, labels in itertools.product(range(2), range(5), LABELS):
        luck = 0.001 * rng.standard_normal()
        for strategy, ahead in (("random", 0.0), ("chosen", gain)):
            value = 0.3 + 0.1 * (np.log2(labels / 6) + ahead) + luck
            rows.append([repeat, draw, strategy, labels, value])
    table = pd.DataFrame(rows, columns=["repeat", "draw", "strategy", "labels", "macro_f1"])
    return table.assign(split="unseen", method="simclr", wrong_labels=0.0, seconds=0.5)


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
    assert len(comparisons) == len(LABELS) + 1
    assert (comparisons["p_holm"] < 0.01).all()
    np.testing.assert_allclose(comparisons["difference"], gain / 10)


def test_the_page_says_what_labels_are_worth_and_where_a_strategy_fails() -> None:
    pages = {}
    for gain in (1.0, -0.5):
        table = trials(gain)
        summary, comparisons = summarise_trials(table, "random", SETTINGS), compare_trials(table, "random", SETTINGS)
        pages[gain] = write_page(summary, comparisons, {"simclr": "SimCLR"}, {"unseen": "Unseen subjects"}, 0.05)
    assert "12 are worth 24 of `random`" in pages[1.0]
    assert "below" not in pages[1.0].split("## ")[1]
    assert "`chosen` is significantly below `random` with 6, 12, 24, 48 labels" in pages[-0.5]
    assert "are worth" not in pages[-0.5]
    assert "## SimCLR, unseen subjects" in pages[1.0]
