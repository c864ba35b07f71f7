"""Augmented copies of labelled windows: how they are made, numbered, weighted and learned from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, augmented, evaluate
from contrastive_har.learning.evaluation.augmented import AugmentedCopies
from contrastive_har.learning.evaluation.stages import StageTraining
from contrastive_har.learning.evaluation.tasks import Task
from contrastive_har.learning.objectives.untrained import UntrainedSettings
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.signals.augmentations import Draws, make_view
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU
from tests.learning.test_learning import budgets, divide, train

VIEW = [{"name": "scaling", "deviation": 0.2}, {"name": "rotation", "degrees": 20}]
COPIES = AugmentedCopies.model_validate({"view": VIEW, "copies": 2})
NOBODY = np.array([], np.int64)


@pytest.mark.parametrize("weights", [None, np.full(100, 1 / 3)])
def test_windows_that_count_alike_are_each_learned_from_once_in_an_epoch(weights: np.ndarray | None) -> None:
    """As with copies and no self-training, where all weights are the same share."""
    training = SimpleNamespace(task=SimpleNamespace(train=np.arange(100), weights=weights))
    assert sorted(StageTraining._draw(training).tolist()) == list(range(100))


def backbone_of(windows: Windows) -> Backbone:
    torch.manual_seed(0)
    backbone = BackboneSettings(encoder=TPNSettings(channels=(8, 8), kernels=(8, 4))).build(windows.layout)
    backbone.set_normalisation(torch.tensor([0.5, -1.0, 9.0]), torch.tensor([2.0, 3.0, 0.1]))
    return backbone


def test_copies_are_views_of_the_normalised_windows(windows: Windows) -> None:
    members = np.array([3, 5, 40])
    backbone = backbone_of(windows)
    extended = COPIES.extend(windows.signals, members, backbone, seed=4)
    count = len(windows.signals)
    assert extended.shape == (3 * count, *windows.signals.shape[1:])
    np.testing.assert_array_equal(extended[:count], windows.signals)
    draws = Draws(torch.Generator().manual_seed(derive_seed(4, 0)))
    normalised = (torch.from_numpy(windows.signals) - backbone.mean) / backbone.deviation
    for copy in (1, 2):
        expected = make_view(normalised, COPIES.view, draws, windows.layout)[members]
        found = (torch.from_numpy(extended[members + copy * count]) - backbone.mean) / backbone.deviation
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    other = COPIES.extend(windows.signals, members, backbone, seed=5)
    assert not np.isclose(other[members + count], extended[members + count]).any()


def test_a_copy_does_not_depend_on_what_else_is_learned_from(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmented, "_BLOCK", 50)
    backbone, count = backbone_of(windows), len(windows.signals)
    one = np.array([60])
    alone = COPIES.extend(windows.signals, one, backbone, seed=4)
    everything = COPIES.extend(windows.signals, np.arange(count), backbone, seed=4)
    for copy in (1, 2):
        np.testing.assert_array_equal(alone[one + copy * count], everything[one + copy * count])
    shifts = everything[count : 2 * count] - windows.signals
    assert not np.isclose(shifts[:50], shifts[50:100]).all(axis=(1, 2)).any(), "blocks have draws of their own"


def test_copies_are_numbered_after_all_windows() -> None:
    np.testing.assert_array_equal(COPIES.with_copies(np.array([1, 4]), 10), [1, 4, 11, 14, 21, 24])


@pytest.mark.parametrize("weights", [None, np.array([3.0, 1.0, 1.0])])
def test_a_window_and_its_copies_weigh_as_much_as_the_window(windows: Windows, weights: np.ndarray | None) -> None:
    settings = EvaluationSettings(title="A", head=LogisticSettings(), augmented=COPIES)
    one = Task(
        *(0, "a", settings, LabelBudget.model_validate("10 %"), 7, windows.classes(), windows.description.class_names),
        *(np.array([0, 8, 9]), NOBODY, NOBODY, NOBODY, Neighbours.of(windows)),
        weights=weights,
    )
    extended = one.with_copies()
    assert extended.weights is not None
    expected = np.ones(3) if weights is None else weights
    np.testing.assert_allclose(extended.weights.reshape(3, 3).sum(0), expected)
    np.testing.assert_allclose(extended.weights.reshape(3, 3), np.tile(expected / 3, (3, 1)))
    np.testing.assert_array_equal(extended.labels, np.tile(one.labels, 3))
    alone = replace(one, settings=settings.model_copy(update={"augmented": None}))
    assert alone.with_copies() is alone


def test_a_head_is_fitted_to_windows_and_copies(windows: Windows) -> None:
    encoders, _ = train(windows, UntrainedSettings())
    names = ["10 %", "50 %"]
    roles = divide(windows, names)
    head = LogisticSettings(inverse_penalty=0.01)
    settings = EvaluationSettings(title="A", head=head, augmented=COPIES)
    plan = EvaluationPlan(evaluations={"a": settings}, label_budgets=budgets(*names), shown=budgets("10 %")[0], seed=3)
    predictions, _, heads = evaluate(windows, roles, encoders, plan, CPU)

    backbone, count = encoders.build(0), len(windows.signals)
    known = np.union1d(*(roles.members(0, "train", budget) for budget in budgets(*names)))
    (modality,) = windows.layout.modalities
    extended = COPIES.extend(windows.signals, known, backbone, derive_seed(3, "copies", 0, modality))
    for budget in budgets(*names):
        members = roles.members(0, "train", budget)
        copied = np.concatenate([members, members + count, members + 2 * count])
        with torch.no_grad():
            features = backbone(torch.from_numpy(extended[copied])).numpy()
            tested = backbone(torch.from_numpy(windows.signals[roles.members(0, "test", budget)])).numpy()
        labels = np.tile(windows.classes()[members], 3)
        expected = LogisticRegression(C=0.01, max_iter=5000).fit(features, labels, np.full(len(labels), 1 / 3))
        mine = predictions[(predictions["repeat"] == 0) & (predictions["label_budget"] == budget.name)]
        np.testing.assert_allclose(mine["probability"], expected.predict_proba(tested).max(1), atol=2e-3)
    assert len(heads) == len(names) * encoders.repeats


def test_copies_have_a_view() -> None:
    with pytest.raises(ValidationError, match="view"):
        AugmentedCopies(view=())
