"""Names of evaluations of some modalities, and who is compared with whom by them."""

from __future__ import annotations

import pytest

from contrastive_har.scores import comparisons
from contrastive_har.scores.cells import Cell, by_cell, name_evaluation, parse_evaluation, title_evaluations
from contrastive_har.scores.statistics import ReportSettings
from tests.scores.examples import long_scores

TITLES = {"linear": "Logistic regression", "ridge": "Ridge regression", "scratch": "From scratch"}


@pytest.mark.parametrize("modalities", [("hand",), ("hand", "foot"), ("acc_watch", "left foot", "3d-skeleton")])
@pytest.mark.parametrize("evaluation", ["linear", "fine_tuning"])
def test_names_say_the_evaluation_and_its_modalities(evaluation: str, modalities: tuple[str, ...]) -> None:
    name = name_evaluation(evaluation, iter(modalities))
    assert parse_evaluation(name) == (evaluation, modalities)
    assert name != evaluation


def test_the_name_of_an_evaluation_of_all_has_no_modalities() -> None:
    assert parse_evaluation("linear") == ("linear", ())
    assert name_evaluation("linear", ["inertial", "skeleton"]) == "linear/inertial-and-skeleton"


def test_titles_have_modalities_where_evaluations_differ_by_them() -> None:
    names = ["linear", "linear/hand", "linear/hand-and-foot", "ridge/foot", "scratch"]
    assert title_evaluations(TITLES, iter(names)) == {
        "linear": "Logistic regression, all modalities",
        "linear/hand": "Logistic regression, hand",
        "linear/hand-and-foot": "Logistic regression, hand + foot",
        "ridge/foot": "Ridge regression, foot",
        "scratch": "From scratch",
    }
    assert title_evaluations(TITLES, ["linear", "scratch"]) == {name: TITLES[name] for name in ("linear", "scratch")}
    with pytest.raises(KeyError):
        title_evaluations(TITLES, ["tuned/hand"])


def test_cells_are_namespaces_of_three_names() -> None:
    cell = Cell("multimodal", "subject_wise", "cmc")
    assert Cell.parse(cell.namespace) == cell
    assert cell.artifact("heads") == "multimodal.subject_wise.cmc.heads"
    assert Cell.parse("multimodal.subject_wise") is Cell.parse(None) is None


def test_artifacts_are_found_by_cell() -> None:
    cells = [Cell("p", "unseen", "heads"), Cell("p", "heads", "cmc")]
    artifacts = {cell.artifact(name): (cell, name) for cell in cells for name in ("heads", "encoders")}
    others = {"heads": 1, "p.heads": 2, "p.unseen.heads": 3, "p.a.b.c.heads": 4, "p.unseen.cmc.heads_of": 5}
    assert by_cell({**artifacts, **others}, "heads") == {cell: (cell, "heads") for cell in cells}


def test_methods_are_compared_by_the_same_modalities_only() -> None:
    """A method with a single evaluation of some modalities is compared by it, with these modalities."""
    rising = [0.1, 0.2, 0.3]
    scores = long_scores(
        {
            (method, evaluation): [value + shift for value in rising]
            for method, shift, evaluations in (
                ("cmc", 0.0, ("linear", "linear/hand", "linear/foot", "ridge", "ridge/hand", "ridge/foot")),
                ("simclr", 0.1, ("linear", "linear/hand", "ridge", "ridge/hand")),
                ("rocket", 0.2, ("ridge", "ridge/hand")),
                ("late", 0.3, ("late",)),
            )
            for evaluation in evaluations
        }
    )
    found = {family.evaluation: list(family.scores.columns) for family in comparisons.families(scores)}
    assert found == {
        "linear": ["cmc", "simclr", "rocket", "late"],
        "ridge": ["cmc", "simclr", "rocket", "late"],
        "linear/hand": ["cmc", "simclr", "rocket"],
        "ridge/hand": ["cmc", "simclr", "rocket"],
    }
    table = comparisons.compare(scores, "cmc", ReportSettings(resamples=100))
    assert set(table["evaluation"]) == set(found)
    for row in table.itertuples():
        assert row.difference == pytest.approx({"simclr": -0.1, "rocket": -0.2, "late": -0.3}[row.other])
