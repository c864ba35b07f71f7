"""Label budgets: their names, their order, and how many windows of each class they label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from contrastive_har.signals.budgets import LabelBudget, parse_budget, sort_budgets

NAMES: dict[str, tuple[dict[str, float | str], str, float]] = {
    "1 %": ({"share": 0.01}, "share", 1),
    "0.5 %": ({"share": 0.005}, "share", 0.5),
    "100 %": ({"share": 1}, "share", 100),
    "5 per class": ({"per_class": 5}, "per_class", 5),
    "1000 per class": ({"per_class": 1000}, "per_class", 1000),
    "long tail 50": ({"long_tail": 50}, "long_tail", 50),
    "long tail 1.5": ({"long_tail": 1.5}, "long_tail", 1.5),
    "25 % of subjects": ({"subjects": 0.25}, "subjects", 25),
    "7 % of subjects": ({"subjects": 0.07}, "subjects", 7),
    "without walking upstairs": ({"without": "walking upstairs"}, "without", 0),
    "without 5 %": ({"without": "5 %"}, "without", 0),
}


class Holder(BaseModel):
    budgets: tuple[LabelBudget, ...]


@pytest.mark.parametrize("name", NAMES)
def test_budgets_are_written_as_their_names(name: str) -> None:
    values, kind, size = NAMES[name]
    budget = parse_budget(name)
    assert budget == LabelBudget.model_validate(values) == LabelBudget.model_validate(name)
    assert (budget.name, budget.kind, budget.size) == (name, kind, pytest.approx(size))
    assert budget.model_dump() == name
    assert budget.model_dump_json() == f'"{name}"'
    assert LabelBudget.model_validate_json(budget.model_dump_json()) == budget
    holder = Holder.model_validate({"budgets": [name, values]})
    assert holder.budgets == (budget, budget)
    assert holder.model_dump(mode="json") == {"budgets": [name, name]}
    assert Holder.model_validate_json(holder.model_dump_json()) == holder


def test_a_space_before_the_per_cent_sign_may_be_missing() -> None:
    assert parse_budget("5%") == parse_budget("5 %") == parse_budget("5.0 %")
    assert parse_budget("5% of subjects") == parse_budget("5 % of subjects") != parse_budget("5 %")


@given(
    st.one_of(
        st.integers(1, 10_000).map(lambda hundredths: {"share": hundredths / 10_000}),
        st.integers(1, 10**9).map(lambda count: {"per_class": count}),
        st.integers(1, 10**9).map(lambda ratio: {"long_tail": ratio}),
        st.integers(1, 10_000).map(lambda hundredths: {"subjects": hundredths / 10_000}),
        st.text("walk 5%é", min_size=1).map(str.strip).filter(bool).map(lambda activity: {"without": activity}),
    )
)
@example({"share": 0.007})
@example({"subjects": 0.007})
@example({"per_class": 1_000_000})
@example({"per_class": 1_234_567})
@example({"long_tail": 10_000_000})
def test_every_name_can_be_read(values: dict[str, float | str]) -> None:
    budget = LabelBudget.model_validate(values)
    assert parse_budget(budget.name) == budget


@pytest.mark.parametrize(
    "name",
    [
        "",
        "5",
        "5 percent",
        "-5 %",
        "1e1 %",
        "nan %",
        "0 %",
        "100.1 %",
        "1.2.3 %",
        ". %",
        "5 per  class",
        "0 per class",
        "2.5 per class",
        "-1 per class",
        "five per class",
        "long tail",
        "long tail 0.5",
        "long tail 0",
        "long tail -2",
        "long tail inf",
        "Long tail 5",
        "5 % ",
        " 5 %",
        "5 %\n",
        "0 % of subjects",
        "101 % of subjects",
        "5 of subjects",
        "5 % of subject",
        "without",
        "without ",
        "without  walking",
        "without walking ",
        "without walking\n",
        "Without walking",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="LabelBudget"):
        parse_budget(name)


def test_refusals_say_what_to_write() -> None:
    with pytest.raises(
        ValueError, match=r"'all' is no label budget; write '5 %', '5 per class', .* or 'without walking'"
    ):
        parse_budget("all")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"share": 0.5, "per_class": 5},
        {"per_class": 5, "long_tail": 2},
        {"share": 0.5, "per_class": 5, "long_tail": 2},
        {"share": None},
        {"share": 0.5, "subjects": 0.5},
        {"per_class": 5, "without": "walking"},
    ],
)
def test_a_budget_is_of_one_kind(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of share, per_class, long_tail, subjects, without"):
        LabelBudget.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"share": 0},
        {"share": 1.01},
        {"share": float("nan")},
        {"per_class": 0},
        {"per_class": 1.5},
        {"long_tail": 0.99},
        {"long_tail": float("inf")},
        {"long_tail": float("nan")},
        {"subjects": 0},
        {"subjects": 1.01},
        {"without": ""},
        {"without": " walking"},
        {"fraction": 0.5},
        0.5,
        None,
    ],
)
def test_impossible_budgets_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match="LabelBudget"):
        LabelBudget.model_validate(values)


def test_budgets_are_sorted_by_kind_and_size_and_all_labels_are_last() -> None:
    ordered = ["0.5 %", "1 %", "5 %", "10 %", "2 per class", "10 per class", "long tail 5", "long tail 50"]
    ordered += ["5 % of subjects", "50 % of subjects", "without running", "without walking", "100 %"]
    assert sort_budgets(sorted(ordered)) == ordered
    assert sort_budgets(ordered[::-1]) == ordered
    assert sort_budgets([]) == []


def test_what_labels_everything() -> None:
    names = {"100 %": True, "99 %": False, "1000 per class": False, "long tail 1": True, "long tail 2": False}
    names |= {"100 % of subjects": True, "99 % of subjects": False, "without walking": False}
    assert {name: parse_budget(name).labels_everything for name in names} == names
    available = np.array([10, 3, 3])
    for name in ("100 %", "long tail 1", "1000 per class"):
        np.testing.assert_array_equal(parse_budget(name).counts(available), available)


def test_draws_of_shares_are_seeded_as_before() -> None:
    """Labels of shares are drawn with the number itself; other kinds have names of their own."""
    assert parse_budget("10 %").key == 0.1
    assert str(parse_budget("5 %").key) == "0.05"
    assert parse_budget("5 per class").key == "5 per class"
    for name in ("long tail 5", "100 % of subjects", "without walking"):
        assert parse_budget(name).key == name


@pytest.mark.parametrize("name", ["50 % of subjects", "without walking"])
def test_choices_of_subjects_and_activities_have_no_counts(name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' has no number of windows per class"):
        parse_budget(name).counts(np.array([10, 3]))


def literal_counts(budget: LabelBudget, available: list[int]) -> list[int]:
    """How many windows of each class are labelled, one class after the other."""
    if budget.share is not None:
        return [max(1, round(budget.share * count)) for count in available]
    if budget.per_class is not None:
        return [count if count < budget.per_class else budget.per_class for count in available]
    assert budget.long_tail is not None
    classes = len(available)
    most = max(available)
    labelled = []
    for index, count in enumerate(available):
        more_frequent = [other for other in available if other > count]
        as_frequent_and_earlier = [other for other in available[:index] if other == count]
        rank = len(more_frequent) + len(as_frequent_and_earlier)
        size = most if classes == 1 else most * budget.long_tail ** (-rank / (classes - 1))
        labelled.append(min(count, max(1, round(size))))
    return labelled


@given(
    budget=st.one_of(
        st.floats(1e-4, 1).map(lambda share: LabelBudget(share=share)),
        st.integers(1, 300).map(lambda count: LabelBudget(per_class=count)),
        st.floats(1, 300).map(lambda ratio: LabelBudget(long_tail=ratio)),
    ),
    available=st.lists(st.integers(1, 400), min_size=1, max_size=12),
)
def test_counts_agree_with_their_definition(budget: LabelBudget, available: list[int]) -> None:
    counts = budget.counts(np.array(available))
    assert counts.tolist() == literal_counts(budget, available)
    assert counts.dtype.kind == "i"
    assert (counts >= 1).all()
    assert (counts <= available).all()


def test_a_long_tail_decays_from_the_most_frequent_class_to_its_ratio() -> None:
    counts = parse_budget("long tail 100").counts(np.array([1000] * 5))
    assert counts.tolist() == [1000, 316, 100, 32, 10]
    by_frequency = parse_budget("long tail 100").counts(np.array([600, 1000, 800]))
    assert by_frequency.tolist() == [10, 1000, 100], "in the order of the classes' frequencies"
    assert parse_budget("long tail 100").counts(np.array([1000, 1000, 7])).tolist() == [1000, 100, 7]
