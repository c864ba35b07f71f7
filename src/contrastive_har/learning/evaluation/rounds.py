"""Rounds of self-training: what is trained labels windows, with which the next one is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.learning.evaluation.self_training import SelfTraining
from contrastive_har.learning.evaluation.tasks import Outcome, Task


class Trained(Protocol):
    """A trained head, with the encoder stages trained with it."""

    @property
    def outcome(self) -> Outcome:
        """Its learning curves, predictions and weights."""

    def probabilities(self, members: NDArray[np.int64]) -> Tensor:
        """Return class probabilities (members, classes) of windows."""


T = TypeVar("T", bound=Trained)


def train_in_rounds(task: Task, train: Callable[[Task, T | None], T]) -> Outcome:
    """Train on the labelled windows and, if asked to, on more and more windows that are labelled by what was trained.

    Args:
        task: The head to train.
        train: Trains on the windows of a task, given what the round before has trained; None in the first.

    Returns:
        The outcome of the round to keep. Its learning curves follow those of the rounds before, which have no learning
        rate, so that the training of the kept round can be told from them.
    """
    settings = task.settings.self_training
    trained = train(task.with_copies(), None)
    outcomes = [trained.outcome]
    if settings and len(task.unlabelled):
        for share in settings.shares:
            trained = train(_label(task, trained, settings, share).with_copies(), trained)
            outcomes.append(trained.outcome)
    kept = _round_to_keep([outcome.validation_score() for outcome in outcomes])
    curves: list[dict[str, Any]] = []
    passed = 0
    for outcome in outcomes[:kept]:
        curves += [row | {"epoch": passed + row["epoch"], "learning_rate": math.nan} for row in outcome.curves]
        passed += outcome.task.epochs
    curves += [row | {"epoch": passed + row["epoch"]} for row in outcomes[kept].curves]
    return replace(outcomes[kept], curves=curves)


def _label(task: Task, trained: Trained, settings: SelfTraining, share: float) -> Task:
    """Return the task with those windows, too, that are recognised most surely."""
    known = np.concatenate([task.train, task.unlabelled])
    probabilities = trained.probabilities(known).cpu().numpy()
    if settings.averaged:
        probabilities = task.neighbours.average(probabilities, known).astype(np.float32)
    chosen, recognised = settings.choose(probabilities[len(task.train) :], task.labels, share)
    return replace(
        task,
        train=np.concatenate([task.train, task.unlabelled[chosen]]),
        given=np.concatenate([task.labels, recognised]),
        weights=settings.weights(len(task.train), len(chosen)),
    )


def _round_to_keep(scores: Sequence[float | None]) -> int:
    """Return the first round with the best macro-F1 on validation windows; the last, where there are none."""
    known = [score for score in scores if score is not None]
    return int(np.argmax(known)) if len(known) == len(scores) else len(scores) - 1
