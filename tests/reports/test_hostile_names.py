"""Names of activities and subjects that break metrics, figures and pages unless they are escaped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from contrastive_har.reports.figures import draw_one_confusion
from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tracked import trackable

NAMES = st.text(st.sampled_from([*"ab._-%$/^ 25efpercnt走跑", "\u0301"]), min_size=1, max_size=12)


@given(NAMES, NAMES)
def test_names_of_metrics_are_accepted_and_differ_as_the_names_do(one: str, other: str) -> None:
    for name in (one, other):
        _validate_metric_name(f"class_recall/{trackable(name)}")
    assert (trackable(one) == trackable(other)) == (one == other)


@pytest.mark.parametrize("name", ["走路", "跑步", "walk_upstairs", "10-percent"])
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert trackable(name) == name


def test_long_names_fit_and_differ() -> None:
    long, longer = "$" * 300, "$" * 301
    assert trackable(long) != trackable(longer)
    assert len(f"class_recall/{trackable(long)}") <= MAX_ENTITY_KEY_LENGTH
    assert trackable("10 %") == "10_percent" != trackable("10_percent")


def test_names_are_no_formulas_in_figures() -> None:
    predictions = pd.DataFrame({"role": "test", "repeat": 0, "true": [0, 1], "predicted": [0, 1]})
    figure = draw_one_confusion(predictions, ["$x^$", "$\\frac$"], "$_$")
    figure.draw_without_rendering()
    assert np.isfinite(figure.get_size_inches()).all()


def test_names_are_no_markup_in_the_summary() -> None:
    summary = page_template("summary.md.j2").environment.from_string("| {{ name }} | {{ number }} |")
    assert summary.render(name="a|b\n<script>[x](javascript:1)`", number=5) == (
        "| a\\|b \\<script>\\[x](javascript:1)\\` | 5 |"
    )
