"""Tuned rows: which trial is chosen, and the difference that it makes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.tuning import choose_settings, summarise_tuning

VALIDATION = {0: [0.5, 0.8, 0.8], 1: [0.7, 0.6, 0.9], 2: [0.6, 0.6, 0.1]}
"""Macro-F1 on validation windows of three trials, by repeat."""


def trials() -> pd.DataFrame:
    rows = [
        ("linear", repeat, trial, json.dumps({"rate": trial} if trial else {}), value)
        for trial in (2, 0, 1)
        for repeat, values in VALIDATION.items()
        for value in [values[trial]]
    ]
    return pd.DataFrame(rows, columns=["evaluation", "repeat", "trial", "setting", "validation_macro_f1"])


def test_each_repeat_chooses_its_best_trial_and_of_equal_ones_the_first() -> None:
    chosen = choose_settings(trials()).query("chosen")
    assert dict(zip(chosen["repeat"], chosen["trial"], strict=True)) == {0: 1, 1: 2, 2: 0}


def test_differences_are_paired_by_repeat() -> None:
    cell = {"split": "s", "method": "m", "evaluation": "linear", "label_budget": "1 %"}
    values = {"untuned": [0.4, 0.5, 0.6], "tuned": [0.5, 0.7, 0.6]}
    scores = pd.DataFrame(
        [
            {**cell, "repeat": repeat, "metric": metric, "group": "all", "value": value, "setting": setting}
            for setting, of_setting in values.items()
            for repeat, value in enumerate(of_setting)
            for metric in ("macro_f1", "accuracy")
        ]
    )
    tried = choose_settings(trials()).assign(split="s", method="m")
    (row,) = summarise_tuning(tried, scores, ReportSettings(resamples=500)).to_dict("records")
    assert row["untuned"] == pytest.approx(0.5)
    assert row["tuned"] == pytest.approx(0.6)
    assert row["difference"] == pytest.approx(0.1)
    assert row["low"] < 0.1 < row["high"]
    assert (row["repeats"], row["trials"]) == (3, 3)
    assert row["untuned_validation"] == pytest.approx(0.6)
    assert row["tuned_validation"] == pytest.approx((0.8 + 0.9 + 0.6) / 3)
    assert json.loads(row["settings"]) == [{"rate": 1}, {"rate": 2}, {}]
    assert row["p"] == row["p_holm"] == pytest.approx(0.5)
