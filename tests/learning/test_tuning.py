"""Tuning: what is drawn, what is refused, what trials see, and that the chosen setting is the one that was tried."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.learning import tuning
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.tuning import SearchSettings, TrialPlan, evaluate_settings, try_setting
from contrastive_har.learning.tuning.spaces import Choices, Range, draw
from contrastive_har.scores.tuning import choose_settings
from contrastive_har.signals.budgets import parse_budget
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, SMALL

BUDGETS = (parse_budget("20 %"), parse_budget("50 %"))
SPACE = {
    "budget.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "objective.temperature": {"low": 0.05, "high": 0.5},
    "objective.views": {"choices": {"slower": [[{"name": "resampling"}], []], "rotated": [[{"name": "rotation"}], []]}},
    "evaluations.linear.head.inverse_penalty": {"choices": [1e-6, 1.0]},
}
UNSEEN = SplitSettings(
    title="", leak_free=True, held_out="subject", pretrain_on="train", test_share=0.2, validation_share=0.2
)


def row(name: str = "simclr", repeats: int = 1) -> tuple[PretrainingPlan, EvaluationPlan]:
    objective = ContrastiveSettings.model_validate(
        {"views": [[{"name": "resampling"}], []], "temperature": 0.1, "projection": [8, 8], "clustering": None}
    )
    budget = PretrainingBudget(epochs=1, batch_size=64, learning_rate=0.001)
    linear = {"title": "", "head": {"name": "logistic", "inverse_penalty": 1e-6, "standardise": True}}
    evaluations = {"linear": EvaluationSettings.model_validate(linear)}
    return (
        PretrainingPlan(name=name, objective=objective, backbone=SMALL, budget=budget, repeats=repeats, seed=3),
        EvaluationPlan(name=name, evaluations=evaluations, label_budgets=BUDGETS, shown=BUDGETS[0], seed=3),
    )


def search(**spaces: Any) -> SearchSettings:
    return SearchSettings.model_validate({"trials": 3, "spaces": spaces or {"simclr": SPACE}})


def trial(number: int, repeats: int = 1) -> TrialPlan:
    return search().plan(*row(repeats=repeats)).model_copy(update={"number": number})


def roles_of(windows: Windows, repeats: int = 1) -> Roles:
    return assign_roles(windows, SplitPlan(name="s", split=UNSEEN, label_budgets=BUDGETS, repeats=repeats, seed=0))


def test_the_first_trial_is_the_row_as_configured() -> None:
    assert trial(0).drawn() == {}
    assert trial(0).plans({}) == row()


def test_rows_that_share_a_setting_try_the_same_values_of_it() -> None:
    spaces = {"simclr": SPACE, "other": {"base": "simclr", "budget.batch_size": {"choices": [32, 64]}}}
    planned = {name: search(**spaces).plan(*row(name)).model_copy(update={"number": 2}) for name in spaces}
    drawn = {name: plan.drawn() for name, plan in planned.items()}
    assert drawn["other"].pop("budget.batch_size") in (32, 64)
    assert drawn["simclr"] == drawn["other"] == trial(2).drawn() != trial(1).drawn()


def test_draws_are_spread_over_the_space() -> None:
    space = {"log": Range(low=0.001, high=0.1, log=True), "even": Range(low=0, high=4), "one": Choices(choices=(1, 2))}
    drawn = pd.DataFrame([draw(space, seed) for seed in range(200)])
    assert drawn["log"].between(0.001, 0.1).all()
    assert (drawn["log"] < 0.01).mean() == pytest.approx(0.5, abs=0.12)
    assert (drawn["even"] < 2).mean() == pytest.approx(0.5, abs=0.12)
    assert (drawn["one"] == 1).mean() == pytest.approx(0.5, abs=0.12)
    assert abs(np.corrcoef(drawn["log"], drawn["even"])[0, 1]) < 0.2


def test_whole_numbers_are_drawn_if_they_are_asked_for() -> None:
    sizes = Range(low=16, high=64, whole=True)
    drawn = [draw({"budget.batch_size": sizes}, seed)["budget.batch_size"] for seed in range(200)]
    assert all(isinstance(one, int) and 16 <= one <= 64 for one in drawn)
    assert len(set(drawn)) > 30
    settings = search(simclr={"budget.batch_size": sizes})
    settings.require([settings.plan(*row())], {"s": UNSEEN})
    assert settings.plan(*row()).plans({"budget.batch_size": drawn[0]})[0].budget.batch_size == drawn[0]


def test_what_is_drawn_is_what_is_trained() -> None:
    drawn = {"objective.views": "rotated", "budget.learning_rate": 0.02, "evaluations.linear.head.inverse_penalty": 1.0}
    pretraining, evaluation = trial(1).plans(drawn)
    assert [[one.name for one in view] for view in pretraining.objective.views] == [["rotation"], []]  # type: ignore[union-attr]
    assert pretraining.budget == row()[0].budget.model_copy(update={"learning_rate": 0.02})
    assert evaluation.evaluations["linear"].head.inverse_penalty == 1.0  # type: ignore[union-attr]
    assert evaluation.evaluations["linear"].head.standardise  # type: ignore[union-attr]
    assert pretraining.objective.temperature == 0.1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spaces", "says"),
    [
        ({"simclr": SPACE, "simcrl": SPACE}, "there is no method 'simcrl'. Did you mean 'simclr'?"),
        ({"simclr": {}}, "method 'simclr' has no values to try"),
        ({"simclr": {"objective.temprature": {"choices": [0.1, 0.2]}}}, "Did you mean 'temperature'?"),
        ({"simclr": {"objective.clustering.clusters": {"choices": [4, 8]}}}, "there is no setting 'clusters'"),
        ({"simclr": {"objective.temperature": {"low": -1, "high": 1}}}, "simclr.objective.temperature: -1.0"),
        ({"simclr": {"budget.batch_size": {"choices": [64, 1]}}}, "simclr.budget.batch_size: 1"),
        ({"simclr": {"budget.batch_size": {"low": 16, "high": 64}}}, "If whole numbers are meant, write whole: true"),
    ],
)
def test_a_space_that_does_not_fit_is_refused_by_name(spaces: dict[str, Any], says: str) -> None:
    settings = search(**spaces)
    with pytest.raises(ValueError) as refused:
        settings.require([settings.plan(*row())], {"s": UNSEEN})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"validation_share": 0.0}, "has none"), ({"leak_free": False, "pretrain_on": "all"}, "is not leak-free")],
)
def test_a_split_without_unseen_validation_windows_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"split 's' {says}"):
        search().require([trial(0)], {"s": UNSEEN.model_copy(update=changed)})


@pytest.mark.parametrize(
    ("dimension", "says"),
    [
        ({"low": 2, "high": 1}, "is not below"),
        ({"low": 0, "high": 1, "log": True}, "no logarithm"),
        ({"low": 0.5, "high": 2, "whole": True}, "does not begin and end with a whole number"),
        ({"choices": [1]}, "at least 2"),
    ],
)
def test_a_dimension_without_a_choice_is_refused(dimension: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        search(simclr={"budget.learning_rate": dimension})


def altered(windows: Windows, members: np.ndarray) -> Windows:
    """Return the windows with other signals and other activities of some."""
    signals, table = windows.signals.copy(), windows.table.copy()
    signals[members] = np.random.default_rng(0).standard_normal(signals[members].shape) * 5
    codes = np.array(sorted(windows.description.activities))
    table.loc[members, "activity"] = (
        np.random.default_rng(1).choice(codes, len(members)).astype(table["activity"].dtype)
    )
    return replace(windows, signals=signals, table=table)


def test_trials_do_not_even_predict_test_windows(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = []

    def noted(*arguments: Any) -> Any:
        evaluated = evaluate(*arguments)
        predicted.append(len(evaluated[0]))
        return evaluated

    monkeypatch.setattr(tuning, "evaluate", noted)
    try_setting(windows, roles_of(windows), trial(0), CPU)
    assert predicted == [0]


def test_test_windows_change_no_trial(windows: Windows) -> None:
    """And they change the scores of the chosen setting, and validation windows those of trials."""
    roles = roles_of(windows)
    test, validation = (roles.members(0, role, BUDGETS[0]) for role in ("test", "validation"))  # type: ignore[arg-type]
    other, unlike = altered(windows, test), altered(windows, validation)
    tables, encoders, scored = [], {}, []
    for number in range(2):
        table, trained = try_setting(windows, roles, trial(number), CPU)
        again, trained_again = try_setting(other, roles, trial(number), CPU)
        pd.testing.assert_frame_equal(table, again)
        for name, value in trained.weights[0].items():
            assert torch.equal(value, trained_again.weights[0][name])
        assert not table.equals(try_setting(unlike, roles, trial(number), CPU)[0])
        tables.append(table)
        encoders[number] = trained
    chosen = choose_settings(pd.concat(tables))
    for some in (windows, other):
        predictions, _ = evaluate_settings(some, roles, trial(0), chosen, encoders, CPU)["tuned"]
        assert set(predictions["window"]) == set(test)
        scored.append((predictions["true"] == predictions["predicted"]).mean())
    assert scored[0] > scored[1]


def test_each_repeat_is_tested_with_the_setting_that_it_chose(windows: Windows) -> None:
    roles = roles_of(windows, 2)
    tried = [try_setting(windows, roles, trial(number, 2), CPU) for number in range(3)]
    trials = pd.concat([table for table, _ in tried], ignore_index=True)
    choice = {0: 2, 1: 0}
    trials["chosen"] = trials["trial"] == trials["repeat"].map(choice)
    encoders = {number: trained for number, (_, trained) in enumerate(tried)}
    evaluated = evaluate_settings(windows, roles, trial(0, 2), trials, encoders, CPU)

    members = [roles.members(repeat, "pretrain") for repeat in range(2)]
    direct = {}
    for number in set(choice.values()):
        pretraining, evaluation = trial(0, 2).plans(trial(number, 2).drawn())
        trained, _ = pretrain(windows, members, pretraining, CPU)
        direct[number], _, _ = evaluate(windows, roles, trained, evaluation, CPU)
    for setting, numbers in (("untuned", {0: 0, 1: 0}), ("tuned", choice)):
        for repeat, number in numbers.items():
            mine, theirs = (
                every[every["repeat"] == repeat].sort_values(["label_budget", "window"])
                for every in (evaluated[setting][0], direct[number])
            )
            assert set(mine["label_budget"]) == {"20 %", "50 %"}
            pd.testing.assert_frame_equal(mine.reset_index(drop=True), theirs.reset_index(drop=True))
    assert not evaluated["tuned"][0].equals(evaluated["untuned"][0])
    assert json.loads(trials.query("trial == 2")["setting"].iloc[0]) == trial(2).drawn()
