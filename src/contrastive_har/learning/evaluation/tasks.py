"""One head to train, and the result: learning curves, predictions and weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.learning.evaluation.settings import EvaluationSettings
from contrastive_har.learning.evaluation.trained import HeadFacts, TrainedHead
from contrastive_har.models.heads import Head
from contrastive_har.scores.metrics import accuracy, confusion_matrix, macro_f1
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours

PREDICTED = ["window", "true", "predicted", "probability", "averaged"]


@dataclass(frozen=True)
class Task:
    """One head to train: its backbone, settings and windows.

    Attributes:
        repeat: Repeat of the backbone.
        evaluation: Name of the evaluation.
        settings: Settings of the evaluation.
        budget: The label budget.
        seed: Seed of initial weights, batches and dropout.
        classes: Class index of every window (windows,).
        class_names: Names of the classes, in the order of their indices.
        train: Labelled windows.
        validation: Validation windows; possibly none.
        test: Test windows; possibly none.
        unlabelled: Windows of pre-training that are neither labelled nor for validation.
        neighbours: Which windows are neighbours.
        given: Classes that the windows of ``train`` are given, where some have none of their own; None for their own.
        weights: How much each window of ``train`` counts; None for all alike.
    """

    repeat: int
    evaluation: str
    settings: EvaluationSettings
    budget: LabelBudget
    seed: int
    classes: NDArray[np.int64]
    class_names: Sequence[str]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    neighbours: Neighbours
    given: NDArray[np.int64] | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes (train,) that are learned for the windows of ``train``."""
        return self.classes[self.train] if self.given is None else self.given

    def with_copies(self) -> Task:
        """Return the task that learns from augmented copies too, if its settings say so."""
        augmented = self.settings.augmented
        if augmented is None:
            return self
        weights = np.ones(len(self.train)) if self.weights is None else self.weights
        return replace(
            self,
            train=augmented.with_copies(self.train, len(self.classes)),
            given=np.tile(self.labels, augmented.copies + 1),
            weights=np.tile(weights, augmented.copies + 1) / (augmented.copies + 1),
        )

    @property
    def key(self) -> dict[str, object]:
        """Columns that identify the rows of this head."""
        return {"repeat": self.repeat, "evaluation": self.evaluation, "label_budget": self.budget.name}

    @property
    def epochs(self) -> int:
        """Passes over the labelled windows, of which the last may be in part; one for a head that is fitted."""
        settings = self.settings
        if settings.head.fitted:
            return 1
        if settings.steps is None:
            return max(settings.epochs or 1, -(-settings.least_steps // self.batches))
        return -(-settings.steps // self.batches)

    @property
    def batch_size(self) -> int:
        """Labelled windows per step."""
        most = math.ceil(self.settings.largest_share * len(self.train))
        return min(self.settings.batch_size_for(self.budget), max(1, most))

    @property
    def batches(self) -> int:
        """Batches in a whole epoch."""
        return -(-len(self.train) // self.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all, one per batch."""
        return self.settings.steps or self.epochs * self.batches

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps of an epoch (1, 2, ...), one per batch, up to the last step of all."""
        return min(self.batches, self.steps - (epoch - 1) * self.batches)

    def rate_at(self, step: int, rate: float) -> float:
        """Return the learning rate of a step (0, 1, ...), given that of the first."""
        return rate * (1 + math.cos(math.pi * step / self.steps)) / 2 if self.settings.annealed else rate

    def is_scored(self, epoch: int) -> bool:
        """Return whether the head is scored after an epoch (1, 2, ...), as it always is after the last."""
        every = self.settings.test_every or (max(1, self.epochs // 2) if self.settings.steps else 1)
        return epoch == self.epochs or epoch % every == 0

    @property
    def variants(self) -> list[Task]:
        """This task with each of the head's variants; with the first, if there are no windows to choose one by."""
        chosen = self.settings.head.variants if len(self.validation) else self.settings.head.variants[:1]
        return [replace(self, settings=self.settings.model_copy(update={"head": head})) for head in chosen]

    def build_head(self, widths: Sequence[int]) -> Head:
        """Return the untrained head of embeddings of some widths, initialised from the current random state."""
        head = self.settings.head.build_for(widths, self.class_names)
        head.initialise()
        return head


@dataclass
class Outcome:
    """The result of a task: learning curves, and predictions and weights after the last epoch."""

    task: Task
    learning_rate: float
    curves: list[dict[str, Any]] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=PREDICTED))
    weights: dict[str, Tensor] = field(default_factory=dict)

    def score(self, epoch: int, loss: Tensor | float, probabilities: Callable[[NDArray[np.int64]], Tensor]) -> None:
        """Score the head in epochs that are due; store the predictions of the last one.

        Args:
            epoch: The epoch that has just ended.
            loss: Its mean loss.
            probabilities: Returns class probabilities (members, classes) of given windows.

        Raises:
            FloatingPointError: if a probability is not finite.
        """
        task = self.task
        is_last = epoch == task.epochs
        if not task.is_scored(epoch):
            return
        for role, members in (("validation", task.validation), ("test", task.test)):
            if len(members) == 0:
                continue
            class_probabilities = probabilities(members).cpu()
            if not class_probabilities.isfinite().all():
                raise FloatingPointError(
                    f"Evaluation '{task.evaluation}', {task.budget.name} of the labels, repeat {task.repeat + 1}: "
                    f"the head's probabilities are not finite after epoch {epoch}. Lower its learning_rate."
                )
            predicted = class_probabilities.argmax(1).numpy()
            confusion = confusion_matrix(task.classes[members], predicted, len(task.class_names))
            scores = {"macro_f1": macro_f1(confusion), "accuracy": accuracy(confusion)}
            self.curves.append(
                {"learning_rate": self.learning_rate, "epoch": epoch, "loss": float(loss), "role": role, **scores}
            )
            if is_last and role == "test":
                self._store_predictions(class_probabilities)

    def _store_predictions(self, class_probabilities: Tensor) -> None:
        probability, predicted = class_probabilities.max(1)
        task = self.task
        averaged = task.neighbours.average(class_probabilities.numpy(), task.test).argmax(1)
        columns = (task.test, task.classes[task.test], predicted.numpy(), probability.numpy(), averaged)
        self.predictions = pd.DataFrame(dict(zip(PREDICTED, columns, strict=True)))

    def validation_score(self) -> float | None:
        """Return the last macro-F1 on the validation windows, if there are any."""
        return next((float(row["macro_f1"]) for row in self.curves[::-1] if row["role"] == "validation"), None)

    def keep(self, head: Mapping[str, Tensor], backbone: Mapping[str, Tensor] | None = None) -> None:
        """Store the state of the head, and the state of the backbone that was trained with it."""
        named = {f"head.{name}": value for name, value in head.items()}
        named |= {f"backbone.{name}": value for name, value in (backbone or {}).items()}
        self.weights = {name: value.detach().cpu().clone() for name, value in named.items()}

    def head(self) -> TrainedHead:
        """Return the trained head."""
        task = self.task
        facts = HeadFacts(
            repeat=task.repeat,
            evaluation=task.evaluation,
            label_budget=task.budget.name,
            validation_macro_f1=self.validation_score(),
            head=task.settings.head,
            modalities=task.settings.modalities if isinstance(task.settings.modalities, tuple) else None,
        )
        return TrainedHead(facts, self.weights)
