"""Evaluations: what a classifier on top of an encoder makes of a few labels.

Linear evaluation, fine-tuning and supervised training are three settings of one procedure: choose how much of the
encoder is trained, run the frozen part once, train the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.encoders import EncoderSet
from contrastive_har.models.heads import linear_classifier
from contrastive_har.models.tpn import TPN
from contrastive_har.reports.metrics import accuracy, confusion_matrix, macro_f1
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.splits import LabelFraction, windows_with_role


class EvaluationSettings(BaseModel):
    """One way to judge encoders.

    Attributes:
        title: What readers see.
        description: A sentence that explains it to them.
        trained_stages: How many of the encoder's last convolutions are trained along with the classifier: 0 is linear
            evaluation, all of them is supervised training or full fine-tuning.
        learning_rate: Adam's.
        epochs: Passes over the labelled windows.
        weight_penalty: Factor of the squared weights of trained convolutions, added to the loss.
        test_every: Epochs between two looks at the test set for the learning curves; scores use the last epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str = ""
    trained_stages: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    epochs: int = Field(gt=0)
    weight_penalty: float = Field(default=0.0, ge=0)
    test_every: int = Field(default=1, gt=0)


@dataclass(frozen=True)
class Labelled:
    """The windows of one task: their class (windows,) and who trains, validates and tests."""

    classes: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def evaluate(
    signals: NDArray[np.float32],
    classes: NDArray[np.int64],
    splits: pd.DataFrame,
    split: str,
    encoders: EncoderSet,
    evaluations: Mapping[str, EvaluationSettings],
    fractions: list[LabelFraction],
    compute: Compute,
    seed: int,
    title: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge the encoders of every repeat by every evaluation at every label fraction.

    Args:
        signals: All windows (windows, time, channels), raw.
        classes: Their class indices, -1 where unlabelled.
        splits: Roles of the windows.
        split: Which split of ``splits``.
        encoders: One a repeat.
        evaluations: By name.
        fractions: Label fractions.
        compute: Where and how precisely.
        seed: Seed of the whole run.
        title: Name for the progress bar.

    Returns:
        Predictions (repeat, evaluation, label_fraction, window, true, predicted, probability) of the last epoch, and
        learning curves (repeat, evaluation, label_fraction, epoch, loss, role, macro_f1, accuracy).
    """
    predictions, curves = [], []
    work = len(encoders.encoders) * len(evaluations) * len(fractions)
    with tqdm(total=work, unit=" classifiers", desc=title, disable=None) as bar:
        for repeat, trained in enumerate(encoders.encoders):
            normalised = torch.from_numpy(trained.normalisation(signals))
            for name, settings in evaluations.items():
                encoder = encoders.build(repeat).to(compute.device)
                frozen_stages = encoder.depth - settings.trained_stages
                activations = _run_frozen(encoder, normalised, frozen_stages, compute)
                for fraction in fractions:
                    task = Labelled(
                        classes,
                        *(
                            windows_with_role(splits, split, repeat, r, fraction.share)
                            for r in ("train", "validation", "test")
                        ),
                    )
                    key = {"repeat": repeat, "evaluation": name, "label_fraction": fraction.share}
                    training = _Training(
                        encoders.build(repeat), frozen_stages, task, settings, fraction.batch_size, compute
                    )
                    training_curves, predicted = training.run(
                        activations, derive_seed(seed, "classifier", *key.values())
                    )
                    curves.append(pd.DataFrame(training_curves).assign(**key))
                    predictions.append(predicted.assign(**key))
                    bar.update()
    order = ["repeat", "evaluation", "label_fraction"]
    return (
        pd.concat(predictions, ignore_index=True)[[*order, "window", "true", "predicted", "probability"]],
        pd.concat(curves, ignore_index=True)[[*order, "epoch", "loss", "role", "macro_f1", "accuracy"]],
    )


def _run_frozen(encoder: TPN, windows: Tensor, stages: int, compute: Compute) -> Tensor:
    """Return what the frozen stages make of all windows, once for all label fractions."""
    encoder.eval()
    with torch.no_grad(), compute.autocast():
        parts = [
            encoder.run(encoder.enter(part.to(compute.device)), 0, stages)
            for part in windows.split(compute.inference_batch)
        ]
    return torch.cat(parts)


class _Training:
    """Trains one classifier, and the encoder's last stages, on one labelled set."""

    def __init__(
        self,
        encoder: TPN,
        frozen_stages: int,
        task: Labelled,
        settings: EvaluationSettings,
        batch_size: int,
        compute: Compute,
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self.frozen_stages = frozen_stages
        self.task = task
        self.settings = settings
        self.batch_size = batch_size
        self.compute = compute
        self.outputs = int(task.classes.max()) + 1

    def run(self, activations: Tensor, seed: int) -> tuple[list[dict[str, object]], pd.DataFrame]:
        """Train; return the learning curves and the last epoch's predictions of the test windows."""
        device = self.compute.device
        # Dropout draws from global random state: fork it, so that nobody else's numbers change.
        with torch.random.fork_rng(devices=self.compute.random_devices):
            torch.manual_seed(seed)
            self.classifier = linear_classifier(self.encoder.features, self.outputs).to(device)
            stages = list(self.encoder.convolutions)[self.frozen_stages :]
            self.penalised = [parameter for stage in stages for parameter in stage.parameters() if parameter.ndim > 1]
            parameters = [parameter for module in (*stages, self.classifier) for parameter in module.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=self.settings.learning_rate, fused=True)
            targets = torch.from_numpy(self.task.classes).to(device)
            train = torch.from_numpy(self.task.train).to(device)
            judges = {"validation": self.task.validation, "test": self.task.test}
            judges = {role: members for role, members in judges.items() if len(members)}
            curves: list[dict[str, object]] = []
            for epoch in range(1, self.settings.epochs + 1):
                loss = self._epoch(activations, targets, train, optimiser)
                if epoch % self.settings.test_every == 0 or epoch == self.settings.epochs:
                    looks = {role: self._probabilities(activations, members) for role, members in judges.items()}
                    curves += [
                        {"epoch": epoch, "loss": loss, "role": role, **self._scores(judges[role], look)}
                        for role, look in looks.items()
                    ]
        return curves, self._predictions(looks["test"])

    def _epoch(self, activations: Tensor, targets: Tensor, train: Tensor, optimiser: torch.optim.Adam) -> float:
        self.encoder.train(self.settings.trained_stages > 0)
        total = torch.zeros((), device=train.device)
        order = train[torch.randperm(len(train)).to(train.device)]
        for index in order.split(self.batch_size):
            with self.compute.autocast():
                embeddings = self.encoder.run(
                    activations.index_select(0, index), self.frozen_stages, self.encoder.depth
                )
            loss = functional.cross_entropy(self.classifier(embeddings.float()), targets.index_select(0, index))
            penalty = sum((weight.square().sum() for weight in self.penalised), torch.zeros((), device=loss.device))
            optimiser.zero_grad(set_to_none=True)
            (loss + self.settings.weight_penalty * penalty).backward()
            optimiser.step()
            total += loss.detach() * len(index)
        return float(total) / len(train)

    def _probabilities(self, activations: Tensor, members: NDArray[np.int64]) -> Tensor:
        self.encoder.eval()
        with torch.no_grad():
            parts = []
            for index in torch.from_numpy(members).to(activations.device).split(self.compute.inference_batch):
                with self.compute.autocast():
                    embeddings = self.encoder.run(
                        activations.index_select(0, index), self.frozen_stages, self.encoder.depth
                    )
                parts.append(self.classifier(embeddings.float()).softmax(1))
            return torch.cat(parts).cpu()

    def _scores(self, members: NDArray[np.int64], probabilities: Tensor) -> dict[str, float]:
        confusion = confusion_matrix(self.task.classes[members], probabilities.argmax(1).numpy(), self.outputs)
        return {"macro_f1": macro_f1(confusion), "accuracy": accuracy(confusion)}

    def _predictions(self, probabilities: Tensor) -> pd.DataFrame:
        probability, predicted = probabilities.max(1)
        return pd.DataFrame(
            {
                "window": self.task.test,
                "true": self.task.classes[self.task.test],
                "predicted": predicted.numpy(),
                "probability": probability.numpy(),
            }
        )
