"""Self-training: against a literal transcription, and what it may learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrastive_har.learning.evaluation import EvaluationSettings
from contrastive_har.learning.evaluation.fitted import fit_head
from contrastive_har.learning.evaluation.rounds import train_in_rounds
from contrastive_har.learning.evaluation.self_training import SelfTraining
from contrastive_har.learning.evaluation.stages import StageTraining
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU

CLASSES, COUNT = 3, 240
NOBODY = np.array([], np.int64)
RATE = 0.02
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
    assert list(SelfTraining(rounds=2, first_share=0.5, last_share=0.5).shares) == [0.5, 0.5]


def trained(windows: Windows, validation: np.ndarray, classes: np.ndarray) -> tuple[Task, list[Outcome]]:
    """The task of a linear head that is trained with the last stage of an encoder, and the outcomes of its rounds."""
    settings = EvaluationSettings(
        title="S",
        trained_stages=1,
        learning_rate=RATE,
        epochs=2,
        batch_size=8,
        self_training=SelfTraining(rounds=2, first_share=0.3, last_share=0.6),
    )
    unlabelled = np.setdiff1d(np.arange(16, 90), validation)
    task = Task(
        *(0, "s", settings, LabelBudget.model_validate("10 %"), 5, classes, windows.description.class_names),
        *(np.arange(16), validation, np.arange(100, 160), unlabelled, Neighbours.of(windows)),
    )
    outcomes: list[Outcome] = []

    def train(of_round: Task, last: StageTraining | None) -> StageTraining:
        backbone = make_backbone(windows)
        training = StageTraining(backbone, begin(windows), of_round, RATE, CPU.resolve()).run()
        outcomes.append(training.outcome)
        return training

    kept = train_in_rounds(task, train)
    return task, [*outcomes, kept]


def make_backbone(windows: Windows) -> Backbone:
    torch.manual_seed(0)
    backbone = BackboneSettings(encoder=TPNSettings(channels=(8, 8), kernels=(8, 4), dropout=0.0)).build(windows.layout)
    backbone.set_normalisation(torch.full((3,), 0.5), torch.full((3,), 2.0))
    return backbone


def begin(windows: Windows) -> dict[str, torch.Tensor]:
    activations = make_backbone(windows).begin(torch.from_numpy(windows.signals), 1)
    return {name: value.detach() for name, value in activations.items()}


def by_gradient(windows: Windows, one: Task) -> torch.Tensor:
    """Class probabilities of all windows after the last round, each of which starts with the pre-trained encoder."""
    entered, neighbours = begin(windows), Neighbours.of(windows)
    labels, count = one.classes[one.train], len(one.train)
    members, targets, weights = one.train, labels, None
    for share in [None, 0.3, 0.6]:
        if share is not None:
            known = np.concatenate([one.train, one.unlabelled])
            averaged = neighbours.average(probabilities[known].numpy(), known)[count:]  # noqa: F821 - of the round before
            recognised = averaged.argmax(1)
            wanted = np.ceil(share * len(recognised) * np.bincount(labels, minlength=3) / count).astype(int)
            chosen = []
            for index, most in enumerate(wanted):
                own = [place for place in range(len(recognised)) if recognised[place] == index]
                chosen += sorted(own, key=lambda place: -averaged[place].max())[:most]
            chosen.sort()
            members = np.concatenate([one.train, one.unlabelled[chosen]])
            targets = np.concatenate([labels, recognised[chosen]])
            weights = torch.ones(len(members), dtype=torch.float64)
            weights[:count] = max(1.0, 0.5 * len(chosen) / count)
        backbone = make_backbone(windows)
        with seeded(5):
            head = one.build_head(backbone.widths)
            parameters = [*(value for stage in backbone.trained(1) for value in stage.parameters()), *head.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=RATE)
            for _ in range(2):
                drawn = (
                    torch.randperm(count)
                    if weights is None
                    else torch.multinomial(weights, len(members), replacement=True)
                )
                for places in drawn.split(8):
                    chosen_windows = {name: value[members[places]] for name, value in entered.items()}
                    scores = head(backbone.finish(chosen_windows, 1))
                    loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(targets[places.numpy()]))
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
        with torch.no_grad():
            probabilities = head(backbone.finish(entered, 1)).softmax(1)
    return probabilities


def test_rounds_of_training_by_gradient_are_those_of_a_literal_transcription(windows: Windows) -> None:
    one, outcomes = trained(windows, NOBODY, windows.classes())
    expected = by_gradient(windows, one)[one.test].max(1).values
    assert len(outcomes) == 4
    np.testing.assert_allclose(outcomes[-1].predictions["probability"], expected, atol=1e-4)
    assert not np.allclose(outcomes[0].predictions["probability"], expected, atol=1e-3)


def test_the_best_round_of_training_by_gradient_is_kept(windows: Windows) -> None:
    """Its learning curves follow those of the rounds before."""
    _, [*rounds, kept] = trained(windows, np.arange(60, 90), windows.classes())
    scores = [outcome.validation_score() for outcome in rounds]
    best = scores.index(max(score for score in scores if score is not None))
    assert kept.weights is rounds[best].weights
    epochs = sorted({row["epoch"] for row in kept.curves})
    passed = sum(outcome.task.epochs for outcome in rounds[:best])
    assert epochs == list(range(1, passed + rounds[best].task.epochs + 1))
    assert {row["epoch"] for row in kept.curves if np.isnan(row["learning_rate"])} == set(range(1, passed + 1))


def test_training_by_gradient_sees_only_labels_of_labelled_windows(windows: Windows) -> None:
    others = windows.classes().copy()
    others[16:] = 0
    found, expected = (trained(windows, NOBODY, classes)[1][-1] for classes in (others, windows.classes()))
    assert all(torch.equal(found.weights[name], value) for name, value in expected.weights.items())
