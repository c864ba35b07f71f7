"""What an evaluation is, and what becomes of one: settings, tasks and outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from contrastive_har.learning.classifiers import TrainedClassifier
from contrastive_har.reports.metrics import accuracy, confusion_matrix, macro_f1
from contrastive_har.signals.splits import LabelFraction

LearningRate = Annotated[float, Field(gt=0)]


class EvaluationSettings(BaseModel):
    """One way to judge encoders.

    Attributes:
        title: What readers see.
        description: A sentence that explains it to them.
        trained_stages: How many of the encoder's last stages (convolutions, in TPN) are trained along with the
            classifier: 0 is linear evaluation, ``all`` is supervised training or full fine-tuning.
        learning_rate: Adam's; of several, each is tried and the best by macro-F1 on the validation windows is kept.
        epochs: Passes over the labelled windows.
        batch_size: Labelled windows a step, where it is not the label fraction's.
        weight_penalty: Factor of the squared weights of trained convolutions, added to the loss.
        test_every: Epochs between two looks at the test set for the learning curves; scores use the last epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str = ""
    trained_stages: Annotated[int, Field(ge=0)] | Literal["all"]
    learning_rate: LearningRate | tuple[LearningRate, ...]
    epochs: int = Field(gt=0)
    batch_size: int | None = Field(default=None, gt=0)
    weight_penalty: float = Field(default=0.0, ge=0)
    test_every: int = Field(default=1, gt=0)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """All rates to try."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    def batch_size_for(self, fraction: LabelFraction) -> int:
        """Return how many labelled windows there are in a step, where there are so many in all."""
        return self.batch_size or fraction.batch_size

    def frozen_stages(self, depth: int) -> int:
        """Return how many of an encoder's ``depth`` stages are not trained."""
        return 0 if self.trained_stages == "all" else max(0, depth - self.trained_stages)


@dataclass(frozen=True)
class Task:
    """One classifier to train: on whose encoder, from which windows, judged on which.

    Attributes:
        repeat: Whose encoder.
        evaluation: Name of the evaluation.
        share: Of the labels.
        batch_size: Labelled windows a step.
        seed: Seed of initial weights, batches and dropout.
        classes: Class of every window (windows,).
        train: Labelled windows.
        validation: Windows looked at while training; possibly none.
        test: Windows the scores come from.
    """

    repeat: int
    evaluation: str
    share: float
    batch_size: int
    seed: int
    classes: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def key(self) -> dict[str, object]:
        """What tells this classifier's rows from others'."""
        return {"repeat": self.repeat, "evaluation": self.evaluation, "label_fraction": self.share}

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return int(self.classes.max()) + 1

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.train) // self.batch_size)


@dataclass
class Outcome:
    """What becomes of a task: learning curves, and predictions and weights after the last epoch."""

    task: Task
    settings: EvaluationSettings
    learning_rate: float
    curves: list[dict[str, object]] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def look(self, epoch: int, loss: Tensor, probabilities: Callable[[NDArray[np.int64]], Tensor]) -> None:
        """Score the classifier if it is time to.

        Args:
            epoch: The epoch that has just ended.
            loss: Its mean loss.
            probabilities: Returns class probabilities (members, classes) of given windows.
        """
        last = epoch == self.settings.epochs
        if epoch % self.settings.test_every and not last:
            return
        for role, members in (("validation", self.task.validation), ("test", self.task.test)):
            if len(members) == 0:
                continue
            found = probabilities(members).cpu()
            confusion = confusion_matrix(self.task.classes[members], found.argmax(1).numpy(), self.task.outputs)
            scores = {"macro_f1": macro_f1(confusion), "accuracy": accuracy(confusion)}
            self.curves.append(
                {"learning_rate": self.learning_rate, "epoch": epoch, "loss": float(loss), "role": role, **scores}
            )
        if last:
            probability, predicted = found.max(1)
            self.predictions = pd.DataFrame(
                {
                    "window": self.task.test,
                    "true": self.task.classes[self.task.test],
                    "predicted": predicted.numpy(),
                    "probability": probability.numpy(),
                }
            ).assign(**self.task.key)

    def validation_score(self) -> float | None:
        """Return the last macro-F1 on the validation windows, if there are any."""
        return next((float(str(row["macro_f1"])) for row in self.curves[::-1] if row["role"] == "validation"), None)

    def keep(self, classifier: Mapping[str, Tensor], encoder: Mapping[str, Tensor] | None = None) -> None:
        """Note the weights of the classifier, and those of the encoder that were trained along."""
        named = {f"classifier.{name}": value for name, value in classifier.items()}
        named |= {f"encoder.{name}": value for name, value in (encoder or {}).items()}
        self.weights = {name: value.detach().cpu().clone() for name, value in named.items()}

    def classifier(self) -> TrainedClassifier:
        """Return what was trained."""
        task = self.task
        return TrainedClassifier(task.repeat, task.evaluation, task.share, self.validation_score(), self.weights)
