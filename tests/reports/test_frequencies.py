"""Scores of frequent and of rare activities against a literal mean; formatted complexity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrastive_har.reports.complexity import complexity_rows, published_rows
from contrastive_har.reports.frequencies import divide_by_frequency, frequency_tables
from contrastive_har.reports.tables import in_percent
from contrastive_har.scores.table import EVERYTHING

WINDOWS = {"walk": 50, "run": 90, "sit": 50, "fall": 2, "jump": 7, "lie": 60, "climb": 10}
METHODS, EVALUATIONS, SPLITS = {"b": "B", "a": "A"}, {"e": "Scratch", "f": "Frozen"}, {"s": "Unseen", "t": "Paper"}
CELLS = [("s", "b", "e"), ("s", "a", "f"), ("t", "b", "e")]


def scores(*budgets: str) -> pd.DataFrame:
    """Random F1 by class in three repeats, and scores of other metrics and groups."""
    rng = np.random.default_rng(0)
    rows = [
        {"split": split, "method": method, "evaluation": evaluation, "label_budget": budget, "repeat": repeat}
        | {"metric": metric, "group": group, "value": rng.random()}
        for budget in budgets
        for split, method, evaluation in CELLS
        for repeat in range(3)
        for metric, group in [("macro_f1", EVERYTHING), *(("f1", f"class: {name}") for name in WINDOWS)]
    ]
    return pd.DataFrame(rows)


def test_thirds_are_of_activities_by_their_windows() -> None:
    assert divide_by_frequency(WINDOWS) == {
        "many": ["run", "lie", "walk"],
        "medium": ["sit", "climb"],
        "few": ["jump", "fall"],
    }, "of seven, three are many; walk is named before sit"
    names = {str(number): number for number in range(18)}
    assert [len(part) for part in divide_by_frequency(names).values()] == [6, 6, 6]


def test_tables_are_mean_and_deviation_of_the_means_of_repeats() -> None:
    table = scores("10 %", "long tail 5", "2 %", "long tail 50", "3 per class")
    missing = (table["repeat"] == 1) & table["group"].isin(["class: jump", "class: fall"]) & (table["method"] == "a")
    table.loc[missing, "value"] = np.nan
    found = frequency_tables(table, WINDOWS, METHODS, EVALUATIONS, SPLITS)
    assert [one.title for one in found] == [
        f"{split}, {labels}"
        for split in ("Unseen", "Paper")
        for labels in ("2 % of the labels", "labels in a long tail 5", "labels in a long tail 50")
    ]
    tail = found[1]
    assert [label for label, _ in tail.rows] == ["B, scratch", "A, frozen"]
    for (_, values), (method, repeats) in zip(tail.rows, (("b", [0, 1, 2]), ("a", [0, 2])), strict=True):
        of_row = table[(table["split"] == "s") & (table["method"] == method) & (table["label_budget"] == "long tail 5")]
        rare = of_row[of_row["group"].isin(["class: jump", "class: fall"])]
        means = [float(rare.loc[rare["repeat"] == repeat, "value"].mean()) for repeat in repeats]
        assert values[2] == f"{in_percent(np.mean(means))} ± {in_percent(np.std(means, ddof=1))}"
    assert [label for label, _ in found[3].rows] == ["B, scratch"]


def test_without_a_long_tail_or_three_activities_there_is_none() -> None:
    assert frequency_tables(scores("10 %", "3 per class"), WINDOWS, METHODS, EVALUATIONS, SPLITS) == []
    two = {name: WINDOWS[name] for name in ("walk", "run")}
    assert frequency_tables(scores("10 %", "long tail 5"), two, METHODS, EVALUATIONS, SPLITS) == []
    only_tails = frequency_tables(scores("long tail 5"), WINDOWS, METHODS, EVALUATIONS, SPLITS)
    assert [one.title for one in only_tails] == ["Unseen, labels in a long tail 5", "Paper, labels in a long tail 5"]


def test_an_activity_that_is_neither_there_nor_predicted_has_no_score() -> None:
    table = scores("long tail 5")
    table.loc[table["group"].isin(["class: jump", "class: fall"]), "value"] = np.nan
    (first, _) = frequency_tables(table, WINDOWS, METHODS, EVALUATIONS, SPLITS)
    assert [values[2] for _, values in first.rows] == ["– ± –", "– ± –"]


def test_complexity_is_formatted_with_titles() -> None:
    measured = pd.DataFrame(
        [("b", "e", 219_400, 877_600, 57_000_123, 3.26)],
        columns=["method", "evaluation", "parameters", "state_bytes", "multiply_adds", "milliseconds"],
    )
    assert complexity_rows(measured, METHODS, EVALUATIONS) == [
        ("B", "Scratch", ["219,400", "0.878", "57.000", "3.3", "0.102"]),
    ]
    assert complexity_rows(measured.iloc[:0], METHODS, EVALUATIONS) == []


@pytest.mark.parametrize(("method", "ratio"), [("TST", 4), ("THAT", 4), ("SHARE", 4)])
def test_published_complexity_has_four_bytes_a_parameter(method: str, ratio: int) -> None:
    """TARNet's has eight, as published; the others are rounded to thousands."""
    rows = {name: values for name, source, values in published_rows("label_structures") if "2301.03462" in source}
    assert set(rows) == {"TST", "TARNet", "THAT", "SHARE"}
    parameters, megabytes, products, *_ = rows[method]
    assert float(megabytes) == pytest.approx(ratio * int(parameters.replace(",", "")) / 1e6, abs=0.007)
    assert products == "–"
    assert published_rows("semi_supervised") == []
