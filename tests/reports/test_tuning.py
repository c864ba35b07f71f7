"""The page and the figure of tuned rows."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from contrastive_har.reports.figures import draw_tuning
from contrastive_har.reports.tuning import write_page

TITLES = {"a": "Method A", "b": "Method B"}, {"linear": "Linear evaluation"}, {"s": "Unseen subjects"}


def summary(repeats: int, p_holm: float) -> pd.DataFrame:
    chosen = json.dumps(
        [
            {
                "budget.learning_rate": 0.00123456,
                "objective.views": "strong",
                "evaluations.linear.head.inverse_penalty": 3.0,
                "evaluations.ridge.head.penalty": 2.0,
            },
            {},
        ]
    )
    rows = [
        ("s", "a", "linear", "1 %", repeats, 8, 0.70, 0.75, 0.05, 0.04, 0.06, 0.001, p_holm, 0.6, 0.8, chosen),
        ("s", "b", "linear", "1 %", repeats, 8, 0.72, 0.71, -0.01, -0.02, 0.0, 0.5, 1.0, 0.7, 0.7, "[{}, {}]"),
    ]
    columns = ["split", "method", "evaluation", "label_budget", "repeats", "trials", "untuned", "tuned"]
    columns += ["difference", "low", "high", "p", "p_holm", "untuned_validation", "tuned_validation", "settings"]
    return pd.DataFrame(rows, columns=columns)


def test_the_page_says_what_was_chosen_and_what_it_gained() -> None:
    page = write_page(summary(10, 0.002), *TITLES, "1 %", 0.95)
    assert "| Method A | Linear evaluation | 70.0 | 75.0 | +5.0 (+4.0 to +6.0) | 60.0 | 80.0 |" in page
    assert "with its 95 % interval" in page
    assert "untuned, Method B, linear evaluation (72.0); tuned, Method A, linear evaluation (75.0)" in page
    assert "Tuning gains significantly: Method A, linear evaluation." in page
    assert "`budget.learning_rate` 0.00123, `objective.views` strong, `head.inverse_penalty` 3; as configured" in page
    assert "ridge" not in page, "a setting of another evaluation of the row"
    assert "no significant difference" not in page


def test_titles_are_escaped() -> None:
    page = write_page(summary(2, 1.0), {"a": "<b>|A", "b": "B"}, {"linear": "[x](y)"}, {"s": "`S`"}, "1 %", 0.95)
    assert "| \\<b>\\|A | \\[x](y) | 70.0 |" in page
    assert "## \\`S\\`, 1 % of the labels" in page


@pytest.mark.parametrize(("repeats", "says"), [(2, True), (10, False)])
def test_nothing_gained_is_said_and_with_few_repeats_why(repeats: int, says: bool) -> None:
    page = write_page(summary(repeats, 0.06), *TITLES, "1 %", 0.95)
    assert "Tuning makes no significant difference" in page
    assert ("at least 7 repeats are needed" in page) == says
    assert "gains significantly" not in page


def test_the_figure_has_two_dots_for_each_row() -> None:
    (axis,) = draw_tuning(summary(2, 1.0), *TITLES).axes
    line, untuned, tuned = axis.collections
    assert [dot.tolist() for dot in untuned.get_offsets()] == [[70.0, 0.0], [72.0, 1.0]]
    assert [dot.tolist() for dot in tuned.get_offsets()] == [[75.0, 0.0], [71.0, 1.0]]
    assert len(line.get_segments()) == 2
    assert axis.get_yticklabels()[0].get_text() == "Method A, linear evaluation"
