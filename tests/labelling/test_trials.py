"""Trials of strategies: simulated people, heads, and the windows that may be chosen and tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from contrastive_har.labelling import trials as trials_module
from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.heads import LabelledHead
from contrastive_har.labelling.strategies.random import Random
from contrastive_har.labelling.trials import ChoosingPlan, ChoosingSettings, try_strategies
from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.models.encoders.hand_features import HandFeaturesSettings
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.leakage import count_leakage
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan, SplitSettings, assign_roles
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU

BUDGET = LabelBudget(share=0.1)
ALL = {
    **{name: {"name": name} for name in ("random", "cluster_centres", "margin")},
    "stretches": {"name": "random", "stretch": 3.0},
}
UNSEEN = SplitSettings(title="", leak_free=True, held_out="subject", pretrain_on="train")
SEEN = SplitSettings(title="", leak_free=False, held_out="none", pretrain_on="all")


def roles_of(windows: Windows, split: SplitSettings) -> Roles:
    return assign_roles(windows, SplitPlan(name="some", split=split, label_budgets=(BUDGET,), repeats=2, seed=0))


def features(windows: Windows, roles: Roles, folder: Path) -> EncoderSet:
    plan = PretrainingPlan(
        name="hand_features",
        objective=UntrainedSettings(),
        backbone=BackboneSettings(encoder=HandFeaturesSettings()),
        budget=PretrainingBudget(epochs=1, batch_size=64, learning_rate=0.1),
        repeats=2,
        seed=0,
    )
    return pretrain(windows, [roles.members(repeat, "pretrain") for repeat in range(2)], plan, CPU, folder)[0]


def plan_of(**settings: object) -> ChoosingPlan:
    values = {"strategies": ALL, "labels": [3, 9], "draws": 2, "wrong_labels": [0.3], **settings}
    return ChoosingPlan(name="trial", choosing=ChoosingSettings.model_validate(values), label_budget=BUDGET, seed=0)


@pytest.fixture(scope="module")
def trials(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    roles = roles_of(windows, UNSEEN)
    trained = features(windows, roles, tmp_path_factory.mktemp("encoders"))
    return try_strategies(windows, roles, trained, plan_of(), CPU)


def test_every_trial_has_a_row(trials: pd.DataFrame) -> None:
    keys = ["repeat", "draw", "strategy", "labels", "wrong_labels"]
    assert len(trials) == 2 * 2 * 4 * 2 * 2 == len(trials[keys].drop_duplicates())
    assert trials["macro_f1"].between(0, 1).all()


def test_labels_help_and_wrong_ones_harm(trials: pd.DataFrame) -> None:
    means = trials.groupby(["wrong_labels", "labels"])["macro_f1"].mean()
    assert means[0.0, 9] > means[0.0, 3]
    assert means[0.0, 9] > means[0.3, 9]


def test_trials_repeat(windows: Windows, trials: pd.DataFrame, tmp_path: Path) -> None:
    roles = roles_of(windows, UNSEEN)
    again = try_strategies(windows, roles, features(windows, roles, tmp_path), plan_of(), CPU)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), trials.drop(columns="seconds"))


@pytest.mark.parametrize("split", [UNSEEN, SEEN])
def test_only_windows_that_may_be_seen_are_chosen_and_only_others_tested(
    split: SplitSettings, windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = roles_of(windows, split)
    asked: list[set[str]] = []
    choose = Random.choose

    def noted(self: Random, candidates: Candidates, count: int, seed: int) -> np.ndarray:
        asked.append(set(candidates.subjects))
        return choose(self, candidates, count, seed)

    monkeypatch.setattr(Random, "choose", noted)
    scored = try_strategies(windows, roles, features(windows, roles, tmp_path), plan_of(), CPU)
    subjects = windows.table["subject"].to_numpy()
    for repeat in range(2):
        expected = set(subjects[roles.members(repeat, "pretrain")])
        assert all(found == expected for found in asked[8 * repeat : 8 * repeat + 8])
    assert (scored["accuracy"] > 0).all()
    audit = count_leakage(windows, roles, split)["by_label_budget"][0]["shared_with"]["pretrain"]
    assert (audit["subjects"] == 0) == split.leak_free


def test_chosen_windows_are_not_tested(windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = roles_of(windows, SEEN)
    expected, counted = [], []
    choose, confusion = Random.choose, trials_module.confusion_matrix

    def noted(self: Random, candidates: Candidates, count: int, seed: int) -> np.ndarray:
        chosen = choose(self, candidates, count, seed)
        tests = roles.members(len(expected) // 2, "test", BUDGET)
        expected.append(len(np.setdiff1d(tests, chosen)))  # all windows are candidates
        return chosen

    def counting(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        counted.append(len(true))
        return confusion(true, predicted, classes)

    monkeypatch.setattr(Random, "choose", noted)
    monkeypatch.setattr(trials_module, "confusion_matrix", counting)
    strategies = {"random": {"name": "random"}, "other": {"name": "cluster_centres"}}
    plan = plan_of(strategies=strategies, labels=[60], draws=2, wrong_labels=[])
    try_strategies(windows, roles, features(windows, roles, tmp_path), plan, CPU)
    assert counted[::2] == expected
    assert all(count < len(roles.members(0, "test", BUDGET)) for count in expected)


def test_a_stretch_gets_one_answer_or_none(windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated people give all windows of a stretch one activity; none if it has several, but its time is counted."""
    roles = roles_of(windows, SEEN)
    classes, signals = windows.classes(), windows.table["end"] - windows.table["start"]
    asked: list[list[list[int]]] = []
    taught: list[list[int]] = []
    tested: list[int] = []
    choose, fit, confusion = Random.choose, LabelledHead.fit, trials_module.confusion_matrix

    def noted(self: Random, candidates: Candidates, count: int, seed: int) -> np.ndarray:
        chosen = choose(self, candidates, count, seed)
        if self.stretch:
            asked.append([np.flatnonzero(candidates.stretches == candidates.stretches[one]).tolist() for one in chosen])
        return chosen

    def fitting(self: LabelledHead, embeddings: torch.Tensor, targets: np.ndarray, seed: int) -> LabelledHead:
        taught.append(targets.tolist())
        return fit(self, embeddings, targets, seed)

    def counting(true: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
        tested.append(len(true))
        return confusion(true, predicted, count)

    monkeypatch.setattr(Random, "choose", noted)
    monkeypatch.setattr(LabelledHead, "fit", fitting)
    monkeypatch.setattr(trials_module, "confusion_matrix", counting)
    strategies = {"random": {"name": "random"}, "stretches": {"name": "random", "stretch": 5.0}}
    plan = plan_of(strategies=strategies, labels=[60], draws=3, wrong_labels=[0.5])
    table = try_strategies(windows, roles, features(windows, roles, tmp_path), plan, CPU)
    of_stretches = table[table["strategy"] == "stretches"].reset_index(drop=True)
    mixed = 0
    for place, row in of_stretches.iterrows():
        stretches = asked[place // 2]  # the same for both shares of wrong labels
        clear = [members for members in stretches if len(set(classes[members])) == 1]  # all windows are candidates
        mixed += len(stretches) - len(clear)
        given, rest = [], taught[4 * (place // 2) + 2 + place % 2]
        for members in clear:
            said, rest = set(rest[: len(members)]), rest[len(members) :]
            assert len(said) == 1
            given.append(said == set(classes[members]))
        assert not rest
        assert all(given) if row["wrong_labels"] == 0 else 0 < sum(given) < len(given)
        tests = roles.members(row["repeat"], "test", BUDGET)
        assert tested[4 * (place // 2) + 2 + place % 2] == len(np.setdiff1d(tests, np.concatenate(stretches)))
        spans = [windows.table["end"][members].max() - windows.table["start"][members].min() for members in stretches]
        assert row["signal_seconds"] == pytest.approx(sum(spans) / windows.description.sampling_rate_hz)
        assert row["signal_seconds"] <= 60 * signals.iloc[0] / windows.description.sampling_rate_hz
    assert mixed > 0
    of_windows = table[table["strategy"] == "random"]["signal_seconds"]
    np.testing.assert_allclose(of_windows, 60 * signals.iloc[0] / windows.description.sampling_rate_hz)


def test_without_any_answer_nothing_is_recognised(windows: Windows, tmp_path: Path) -> None:
    """A stretch of a whole recording shows all activities: nobody can give it one."""
    roles = roles_of(windows, SEEN)
    strategies = {"random": {"name": "random", "stretch": 1000}, "margin": {"name": "margin", "stretch": 1000}}
    plan = plan_of(strategies=strategies, labels=[3, 100], wrong_labels=[])
    scored = try_strategies(windows, roles, features(windows, roles, tmp_path), plan, CPU)
    assert (scored["macro_f1"] == 0).all()
    assert (scored["signal_seconds"] > 0).all()


def test_more_labels_than_windows_are_refused(windows: Windows, tmp_path: Path) -> None:
    roles = roles_of(windows, SEEN)
    with pytest.raises(ValueError, match="can be chosen that don't overlap"):
        try_strategies(windows, roles, features(windows, roles, tmp_path), plan_of(labels=[10_000]), CPU)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compared_with": "typical"}, "choose one of random, cluster_centres, margin"),
        ({"labels": [9, 3]}, "write ascending numbers"),
        ({"wrong_labels": [1.5]}, "write shares"),
        ({"first": {"name": "margin"}}, "needs labels to begin with"),
        ({"head": {"name": "linear"}}, "trained by gradient"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        plan_of(**settings)
