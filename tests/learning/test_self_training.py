"""Self-training: against a literal transcription, and what it may learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrastive_har.learning.evaluation import EvaluationSettings
from contrastive_har.learning.evaluation.fitted import fit_head
from contrastive_har.learning.evaluation.self_training import SelfTraining
from contrastive_har.learning.evaluation.tasks import Task
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours

CLASSES, COUNT = 3, 240
NOBODY = np.array([], np.int64)
SHARES = [0.2, 0.5, 0.8]
SETTINGS = SelfTraining(rounds=3, first_share=0.2, last_share=0.8)


def examples(overlap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of overlapping classes, and the classes, which last for ten windows each."""
    rng = np.random.default_rng(0)
    classes = np.arange(COUNT) // 10 % CLASSES
    features = rng.normal(0, overlap, (COUNT, 4)) + np.eye(CLASSES, 4)[classes] * 2
    return features.astype(np.float32), classes


def task(settings: SelfTraining | None, classes: np.ndarray, validation: np.ndarray = NOBODY) -> Task:
    evaluation = EvaluationSettings(title="S", head=LogisticSettings(inverse_penalty=0.1), self_training=settings)
    rng = np.random.default_rng(1)
    train = np.sort(np.concatenate([rng.choice(np.flatnonzero(classes[:120] == index), 2) for index in range(3)]))
    unlabelled = np.setdiff1d(np.arange(120), np.concatenate([train, validation]))
    neighbours = Neighbours(np.arange(COUNT) // 60, np.arange(COUNT) * 32, 64)
    names = ["a", "b", "c"]
    budget = LabelBudget.model_validate("10 %")
    test = np.arange(120, COUNT)
    return Task(0, "s", evaluation, budget, 5, classes, names, train, validation, test, unlabelled, neighbours)


def by_hand(features: np.ndarray, one: Task, settings: SelfTraining) -> list[LogisticRegression]:
    """The heads of all rounds, window by window."""
    labels = one.classes[one.train]
    heads = [LogisticRegression(C=0.1, max_iter=2000).fit(features[one.train], labels)]
    for share in SHARES:
        known = sorted([*one.train, *one.unlabelled])
        probabilities = dict(zip(known, heads[-1].predict_proba(features[known]), strict=True))
        if settings.averaged:
            probabilities = {
                window: np.mean(
                    [probabilities[near] for near in known if near // 60 == window // 60 and abs(near - window) <= 2],
                    axis=0,
                )
                for window in known
            }
        recognised = {window: int(np.argmax(probabilities[window])) for window in one.unlabelled}
        chosen = []
        for index in range(CLASSES):
            own = [window for window in one.unlabelled if recognised[window] == index]
            own.sort(key=lambda window: -max(probabilities[window]))
            count = (
                np.sum(labels == index) / len(labels) if settings.balance == "labelled" else len(own) / len(recognised)
            )
            chosen += own[: int(np.ceil(share * count * len(recognised)))]
        weight = max(1.0, settings.labelled_weight * len(chosen) / len(labels))
        members, targets = [*one.train, *chosen], [*labels, *(recognised[window] for window in chosen)]
        weights = [weight] * len(labels) + [1.0] * len(chosen)
        heads.append(LogisticRegression(C=0.1, max_iter=2000).fit(features[members], targets, weights))
    return heads


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("balance", ["labelled", "recognised"])
def test_rounds_are_those_of_a_literal_transcription(averaged: bool, balance: str) -> None:
    features, classes = examples()
    settings = SETTINGS.model_copy(update={"averaged": averaged, "balance": balance})
    one = task(settings, classes)
    outcome = fit_head(torch.from_numpy(features), [4], one)
    expected = by_hand(features, one, settings)[-1]
    found = outcome.weights["head.weight"].T.numpy()
    np.testing.assert_allclose(found - found.mean(0), expected.coef_ - expected.coef_.mean(0), atol=2e-3)
    probabilities = expected.predict_proba(features[one.test])
    np.testing.assert_array_equal(outcome.predictions["predicted"], probabilities.argmax(1))
    np.testing.assert_allclose(outcome.predictions["probability"], probabilities.max(1), atol=1e-3)


def test_the_first_round_with_the_best_validation_score_is_kept() -> None:
    features, classes = examples(overlap=1.5)
    validation = np.arange(90, 120)
    one = task(SETTINGS, classes, validation)
    heads = by_hand(features, one, SETTINGS)
    scores = [macro_f1(confusion_matrix(classes[validation], head.predict(features[validation]), 3)) for head in heads]
    best = int(np.argmax(scores))
    outcome = fit_head(torch.from_numpy(features), [4], one)
    assert outcome.validation_score() == pytest.approx(scores[best])
    assert max(int(str(row["epoch"])) for row in outcome.curves) == best + 1
    np.testing.assert_array_equal(outcome.predictions["predicted"], heads[best].predict(features[one.test]))


def test_without_unlabelled_windows_the_head_is_that_of_the_labelled_ones() -> None:
    features, classes = examples()
    alone = fit_head(torch.from_numpy(features), [4], task(None, classes))
    without = fit_head(torch.from_numpy(features), [4], replace(task(SETTINGS, classes), unlabelled=NOBODY))
    assert torch.equal(alone.weights["head.weight"], without.weights["head.weight"])


def test_labels_of_other_windows_and_test_windows_change_nothing() -> None:
    """The head sees no label but those of its training windows, and no test window."""
    features, classes = examples()
    one = task(SETTINGS, classes)
    others = classes.copy()
    others[one.unlabelled] = 0
    elsewhere = features.copy()
    elsewhere[one.test] = 99.0
    expected = fit_head(torch.from_numpy(features), [4], one).weights["head.weight"]
    assert torch.equal(
        fit_head(torch.from_numpy(features), [4], replace(one, classes=others)).weights["head.weight"], expected
    )
    assert torch.equal(fit_head(torch.from_numpy(elsewhere), [4], one).weights["head.weight"], expected)


def test_it_helps_where_activities_last() -> None:
    """Ten windows of an activity in a row: a window that is hard by itself is told by its neighbours."""
    features, classes = examples(overlap=1.2)

    def score(settings: SelfTraining | None) -> float:
        predictions = fit_head(torch.from_numpy(features), [4], task(settings, classes)).predictions
        return macro_f1(confusion_matrix(predictions["true"].to_numpy(), predictions["predicted"].to_numpy(), 3))

    assert score(SETTINGS) > score(None) + 0.02


def test_shares_grow() -> None:
    assert list(SETTINGS.shares) == pytest.approx(SHARES)
    with pytest.raises(ValueError, match="is below first_share"):
        SelfTraining(first_share=0.5, last_share=0.2)


def test_heads_that_are_trained_by_gradient_are_not_self_trained() -> None:
    with pytest.raises(ValueError, match="only fitted ones are self-trained"):
        EvaluationSettings(title="S", learning_rate=0.1, epochs=1, batch_size=8, self_training=SETTINGS)
