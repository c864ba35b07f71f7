"""Runs side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from contrastive_har.reports.run_comparison import (
    ComparedRun,
    compare_runs,
    describe_differences,
    render_comparison,
    summarise_comparison,
)
from contrastive_har.scores.comparisons import holm
from contrastive_har.scores.statistics import ReportSettings
from tests.browser import open_page
from tests.scores.examples import paired_scores

SETTINGS = ReportSettings(resamples=200)
PARAMETERS = {"seed": 1, "p": {"repeats": 10, "splits": {"s": {}}, "budget": {"epochs": 2}}}


@pytest.fixture
def first() -> ComparedRun:
    return ComparedRun("1", "d", "v1", "f", "c" * 64, {"numpy": "2.3"}, PARAMETERS, paired_scores())


@pytest.fixture
def other(first: ComparedRun) -> ComparedRun:
    """The same, but method a is better by 0.01 to 0.02."""
    scores = first.scores.copy()
    of_a = scores["method"] == "a"
    scores.loc[of_a, "value"] += np.linspace(0.01, 0.02, of_a.sum())
    parameters = {**PARAMETERS, "p": {**PARAMETERS["p"], "budget": {"epochs": 4}}}
    return ComparedRun("2", "d", "v1", "f", "e" * 64, {"numpy": "2.4"}, parameters, scores)


def test_paired_runs_are_tested(first: ComparedRun, other: ComparedRun) -> None:
    table = compare_runs([first, other], SETTINGS).set_index(["method", "evaluation"])
    assert len(table) == 7
    p = [float(scipy.stats.wilcoxon(np.linspace(0.01, 0.02, 20)[:10]).pvalue)] * 2 + [1.0] * 5
    assert table.loc[[("a", "linear"), ("a", "fine")], "p_holm"].tolist() == pytest.approx(holm(p)[:2])
    assert table.loc["a", "difference"].between(0.009, 0.021).all()
    assert (table.loc["b", ["difference", "low", "high"]] == 0).all(axis=None)
    (sentence,) = summarise_comparison(table.reset_index(), 0.05)
    assert sentence == "2 against 1: 7 cells in common, +0.4 points on average; 2 differences are significant."


def test_what_is_not_paired_is_not_tested(first: ComparedRun, other: ComparedRun) -> None:
    for changed in (
        replace(other, parameters={**other.parameters, "seed": 2}),
        replace(other, dataset="e"),
        replace(other, files="g"),
        replace(other, files=None),
        replace(other, parameters={**other.parameters, "p": {**PARAMETERS["p"], "splits": {}}}),
        replace(other, scores=other.scores[other.scores["repeat"] < 5]),
    ):
        table = compare_runs([first, changed], SETTINGS)
        assert table["p"].isna().all()
        assert "nothing is tested" in summarise_comparison(table, 0.05)[0]


def test_few_repeats_are_said(first: ComparedRun, other: ComparedRun) -> None:
    few = [replace(run, scores=run.scores[run.scores["repeat"] < 2]) for run in (first, other)]
    assert (
        "with 2 repeats nothing can be significant, 9 could."
        in summarise_comparison(compare_runs(few, SETTINGS), 0.05)[0]
    )


def test_repeats_that_suffice_for_some_differences_are_enough(first: ComparedRun, other: ComparedRun) -> None:
    table = compare_runs([first, other], SETTINGS)
    table.loc[table.index[0], "repeats"] = 2
    assert "nothing can be significant" not in summarise_comparison(table, 0.05)[0]


def test_what_differs(first: ComparedRun, other: ComparedRun) -> None:
    assert describe_differences([first, other]) == [
        ("code", ["c" * 12, "e" * 12]),
        ("package numpy", ["2.3", "2.4"]),
        ("p.budget.epochs", ["2", "4"]),
    ]
    assert describe_differences([first, first]) == []


def test_runs_without_anything_in_common_are_refused(first: ComparedRun, other: ComparedRun) -> None:
    with pytest.raises(ValueError, match="Name at least two runs"):
        compare_runs([first], SETTINGS)
    elsewhere = replace(other, scores=other.scores.assign(protocol="q"))
    with pytest.raises(ValueError, match="no method and evaluation in common"):
        compare_runs([first, elsewhere], SETTINGS)


def test_the_page(first: ComparedRun, other: ComparedRun, tmp_path: Path) -> None:
    runs = [first, other, replace(first, run_id="3")]
    compared: pd.DataFrame = compare_runs(runs, SETTINGS)
    (tmp_path / "page.html").write_text(render_comparison(runs, compared, 0.95), encoding="utf-8")
    with open_page(tmp_path / "page.html") as visit:
        assert visit.page.locator("#scores ~ .scroll").first.locator("tbody tr").count() == 14
        visit.page.get_by_label("Filter rows").first.fill("linear a 2")
        assert (visit.errors, visit.outside, visit.accessibility_faults()) == ([], [], [])
        assert [visit.overflow(width) for width in (1400, 390)] == [0, 0]
