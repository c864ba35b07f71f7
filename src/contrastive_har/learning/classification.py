"""Evaluations: what a classifier on top of an encoder makes of a few labels.

Linear evaluation, fine-tuning and supervised training are three settings of one procedure: choose how much of the
encoder is trained, run the frozen part once, train the rest. Where nothing but the classifier is trained, those of all
repeats and label fractions are small enough to be trained side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from contrastive_har.learning.classifiers import TrainedClassifier
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.encoders import EncoderSet
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.heads import linear_classifier
from contrastive_har.reports.metrics import accuracy, confusion_matrix, macro_f1
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.splits import LabelFraction, windows_with_role

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
        weight_penalty: Factor of the squared weights of trained convolutions, added to the loss.
        test_every: Epochs between two looks at the test set for the learning curves; scores use the last epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str = ""
    trained_stages: Annotated[int, Field(ge=0)] | Literal["all"]
    learning_rate: LearningRate | tuple[LearningRate, ...]
    epochs: int = Field(gt=0)
    weight_penalty: float = Field(default=0.0, ge=0)
    test_every: int = Field(default=1, gt=0)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """All rates to try."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    def frozen_stages(self, depth: int) -> int:
        """Return how many of an encoder's ``depth`` stages are not trained."""
        return 0 if self.trained_stages == "all" else max(0, depth - self.trained_stages)


@dataclass(frozen=True)
class Task:
    """One classifier to train: on whose encoder, from which windows, judged on which.

    Attributes:
        repeat: Whose encoder.
        evaluation: Name of the evaluation.
        fraction: How many labels, and the batch size.
        seed: Seed of initial weights, batches and dropout.
        classes: Class of every window (windows,).
        train: Labelled windows.
        validation: Windows looked at while training; possibly none.
        test: Windows the scores come from.
    """

    repeat: int
    evaluation: str
    fraction: LabelFraction
    seed: int
    classes: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def key(self) -> dict[str, object]:
        """What tells this classifier's rows from others'."""
        return {"repeat": self.repeat, "evaluation": self.evaluation, "label_fraction": self.fraction.share}

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return int(self.classes.max()) + 1

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.train) // self.fraction.batch_size)


def evaluate(
    signals: NDArray[np.float32],
    classes: NDArray[np.int64],
    splits: pd.DataFrame,
    split: str,
    encoders: EncoderSet,
    evaluations: Mapping[str, EvaluationSettings],
    fractions: list[LabelFraction],
    compute: ComputeSettings,
    seed: int,
    title: str,
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedClassifier]]:
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
        Predictions (repeat, evaluation, label_fraction, window, true, predicted, probability) of the last epoch,
        learning curves (repeat, evaluation, label_fraction, learning_rate, epoch, loss, role, macro_f1, accuracy), and
        the classifiers.

    Raises:
        ValueError: if a learning rate is to be chosen where nobody validates.
    """
    repeats = range(len(encoders.encoders))
    machine = compute.resolve()
    tries: dict[tuple[object, ...], list[_Outcome]] = {}
    shares = set(splits.loc[splits["split"] == split, "label_fraction"].dropna())
    tried = {name: [one for one in fractions if one.is_for(name) and one.share in shares] for name in evaluations}
    work = len(repeats) * sum(len(evaluations[name].learning_rates) * len(of) for name, of in tried.items())
    with tqdm(total=work, unit=" classifiers", desc=title, disable=None) as bar:

        def keep(outcome: _Outcome) -> None:
            tries.setdefault(tuple(outcome.task.key.values()), []).append(outcome)
            bar.update()

        for name, settings in evaluations.items():
            features: dict[int, Tensor] = {}
            tasks: list[Task] = []
            for repeat in repeats:
                of_repeat = [_task(classes, splits, split, repeat, name, fraction, seed) for fraction in tried[name]]
                if len(settings.learning_rates) > 1 and not all(len(task.validation) for task in of_repeat):
                    raise ValueError(
                        f"Evaluation '{name}' chooses a learning rate on validation windows, but split '{split}' has "
                        "none. Give it a validation_share, or the evaluation one learning_rate."
                    )
                activations = _run_frozen(encoders, repeat, signals, settings, machine)
                if settings.trained_stages == 0:
                    features[repeat] = activations.float()
                    tasks += of_repeat
                    continue
                for task in of_repeat:
                    for rate in settings.learning_rates:
                        keep(_StageTraining(encoders.build(repeat), task, settings, rate, machine).run(activations))
            for rate in settings.learning_rates:
                for outcome in _train_heads(features, tasks, settings, rate, machine):
                    keep(outcome)
    outcomes = [max(of_task, key=lambda one: one.validation_score() or 0.0) for of_task in tries.values()]
    outcomes.sort(key=lambda outcome: outcome.task.repeat)  # of equal repeats, the order stays
    order = ["repeat", "evaluation", "label_fraction"]
    predictions = pd.concat([outcome.predictions for outcome in outcomes], ignore_index=True)
    curves = pd.concat([pd.DataFrame(outcome.curves).assign(**outcome.task.key) for outcome in outcomes])
    return (
        predictions[[*order, "window", "true", "predicted", "probability"]],
        curves[[*order, "learning_rate", "epoch", "loss", "role", "macro_f1", "accuracy"]].reset_index(drop=True),
        [outcome.classifier() for outcome in outcomes],
    )


def _task(
    classes: NDArray[np.int64],
    splits: pd.DataFrame,
    split: str,
    repeat: int,
    evaluation: str,
    fraction: LabelFraction,
    seed: int,
) -> Task:
    train, validation, test = (
        windows_with_role(splits, split, repeat, role, fraction.share) for role in ("train", "validation", "test")
    )
    own_seed = derive_seed(seed, "classifier", repeat, evaluation, fraction.share)
    return Task(repeat, evaluation, fraction, own_seed, classes, train, validation, test)


def _run_frozen(
    encoders: EncoderSet, repeat: int, signals: NDArray[np.float32], settings: EvaluationSettings, compute: Compute
) -> Tensor:
    """Return what an encoder's frozen stages make of all windows, once for all label fractions."""
    encoder = encoders.build(repeat).to(compute.device)
    windows = torch.from_numpy(encoders.encoders[repeat].normalisation(signals))
    with torch.no_grad(), compute.autocast():
        parts = [
            encoder.run(encoder.enter(part.to(compute.device)), 0, settings.frozen_stages(encoder.depth))
            for part in windows.split(compute.inference_batch)
        ]
    return torch.cat(parts)


@dataclass
class _Outcome:
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
        share = task.fraction.share
        return TrainedClassifier(task.repeat, task.evaluation, share, self.validation_score(), self.weights)


def _train_heads(
    features: Mapping[int, Tensor], tasks: Sequence[Task], settings: EvaluationSettings, rate: float, compute: Compute
) -> Iterator[_Outcome]:
    """Train linear classifiers on frozen features (windows, features) by repeat, as many at once as keep step."""
    for steps in sorted({task.steps for task in tasks}):
        heads = _Heads(features, [task for task in tasks if task.steps == steps], settings, rate, compute.device)
        yield from heads.run()


class _Heads:
    """Linear classifiers with equally many batches an epoch, trained side by side.

    Batches are padded to the largest; each classifier has its own generator, and Adam works entry by entry, so that
    none knows of the others.
    """

    def __init__(
        self,
        features: Mapping[int, Tensor],
        tasks: Sequence[Task],
        settings: EvaluationSettings,
        rate: float,
        device: torch.device,
    ) -> None:
        self.features = features
        self.tasks = tasks
        self.settings = settings
        self.rate = rate
        self.generators = [torch.Generator().manual_seed(task.seed) for task in tasks]
        width = next(iter(features.values())).shape[1]
        initial = [_initial_classifier(width, task) for task in tasks]
        weights, biases = zip(*((one.weight.detach().T, one.bias.detach()) for one in initial), strict=True)
        self.weights = torch.stack(weights).to(device).requires_grad_()
        self.biases = torch.stack(biases).unsqueeze(1).to(device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.weights, self.biases], lr=rate, fused=True)
        most = max(len(task.train) for task in tasks)
        self.examples = torch.zeros(len(tasks), most, width, device=device)
        self.targets = torch.zeros(len(tasks), most, dtype=torch.long, device=device)
        for head, task in enumerate(tasks):
            train = torch.from_numpy(task.train).to(device)
            self.examples[head, : len(train)] = features[task.repeat].index_select(0, train)
            self.targets[head, : len(train)] = torch.from_numpy(task.classes[task.train]).to(device)

    def run(self) -> list[_Outcome]:
        """Train all; return an outcome a task."""
        outcomes = [_Outcome(task, self.settings, self.rate) for task in self.tasks]
        sizes = torch.tensor([len(task.train) for task in self.tasks], device=self.weights.device)
        for epoch in range(1, self.settings.epochs + 1):
            losses = torch.stack([self._step(batch) for batch in self._batches()]).sum(0) / sizes
            for head, outcome in enumerate(outcomes):
                outcome.look(epoch, losses[head], partial(self._probabilities, head))
        for head, outcome in enumerate(outcomes):
            outcome.keep({"weight": self.weights[head].T, "bias": self.biases[head, 0]})
        return outcomes

    def _batches(self) -> Tensor:
        """Return this epoch's batches (steps, heads, batch) of places among the head's examples; -1 pads."""
        largest = max(task.fraction.batch_size for task in self.tasks)
        batches = torch.full((self.tasks[0].steps, len(self.tasks), largest), -1)
        for head, (task, generator) in enumerate(zip(self.tasks, self.generators, strict=True)):
            size = task.fraction.batch_size
            order = torch.full((task.steps * size,), -1)
            order[: len(task.train)] = torch.randperm(len(task.train), generator=generator)
            batches[:, head, :size] = order.view(task.steps, size)
        return batches.to(self.weights.device)

    def _step(self, batch: Tensor) -> Tensor:
        """Take one step of every head; return their summed losses (heads,)."""
        real = batch >= 0
        place = batch.clamp(min=0)
        examples = self.examples.gather(1, place.unsqueeze(-1).expand(-1, -1, self.examples.shape[2]))
        logits = torch.baddbmm(self.biases, examples, self.weights)
        losses = functional.cross_entropy(logits.transpose(1, 2), self.targets.gather(1, place), reduction="none")
        summed = (losses * real).sum(1)
        self.optimiser.zero_grad(set_to_none=True)
        (summed / real.sum(1)).sum().backward()
        self.optimiser.step()
        return summed.detach()

    def _probabilities(self, head: int, members: NDArray[np.int64]) -> Tensor:
        with torch.no_grad():
            chosen = self.features[self.tasks[head].repeat].index_select(
                0, torch.from_numpy(members).to(self.weights.device)
            )
            return torch.addmm(self.biases[head], chosen, self.weights[head]).softmax(1)


def _initial_classifier(width: int, task: Task) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):  # initial weights draw from global random state
        torch.manual_seed(task.seed)
        return linear_classifier(width, task.outputs)


class _StageTraining:
    """Trains one classifier and the encoder's last stages."""

    def __init__(
        self, encoder: Encoder, task: Task, settings: EvaluationSettings, rate: float, compute: Compute
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self.frozen_stages = settings.frozen_stages(encoder.depth)
        self.task = task
        self.settings = settings
        self.rate = rate
        self.compute = compute

    def run(self, activations: Tensor) -> _Outcome:
        """Train on what the frozen stages made of all windows."""
        device = self.compute.device
        outcome = _Outcome(self.task, self.settings, self.rate)
        before = {name: value.detach().cpu().clone() for name, value in self.encoder.state_dict().items()}
        # Dropout draws from global random state: fork it, so that nobody else's numbers change.
        with torch.random.fork_rng(devices=self.compute.random_devices):
            torch.manual_seed(self.task.seed)
            self.classifier = linear_classifier(self.encoder.features, self.task.outputs).to(device)
            stages = list(self.encoder.stages)[self.frozen_stages :]
            self.penalised = [parameter for stage in stages for parameter in stage.parameters() if parameter.ndim > 1]
            parameters = [parameter for module in (*stages, self.classifier) for parameter in module.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=self.rate, fused=True)
            targets = torch.from_numpy(self.task.classes).to(device)
            train = torch.from_numpy(self.task.train).to(device)
            for epoch in range(1, self.settings.epochs + 1):
                loss = self._epoch(activations, targets, train, optimiser)
                outcome.look(epoch, loss, partial(self._probabilities, activations))
        after = self.encoder.state_dict()
        changed = {name: value for name, value in after.items() if not torch.equal(value.cpu(), before[name])}
        outcome.keep(self.classifier.state_dict(), changed)
        return outcome

    def _epoch(self, activations: Tensor, targets: Tensor, train: Tensor, optimiser: torch.optim.Adam) -> Tensor:
        self.encoder.train()
        total = torch.zeros((), device=train.device)
        order = train[torch.randperm(len(train)).to(train.device)]
        for index in order.split(self.task.fraction.batch_size):
            loss = functional.cross_entropy(self._logits(activations, index), targets.index_select(0, index))
            penalty = torch.stack([weight.square().sum() for weight in self.penalised]).sum()
            optimiser.zero_grad(set_to_none=True)
            (loss + self.settings.weight_penalty * penalty).backward()
            optimiser.step()
            total += loss.detach() * len(index)
        return total / len(train)

    def _probabilities(self, activations: Tensor, members: NDArray[np.int64]) -> Tensor:
        self.encoder.eval()
        with torch.no_grad():
            parts = torch.from_numpy(members).to(activations.device).split(self.compute.inference_batch)
            return torch.cat([self._logits(activations, part).softmax(1) for part in parts])

    def _logits(self, activations: Tensor, members: Tensor) -> Tensor:
        with self.compute.autocast():
            # Indexed, not index_select: that loses the memory order convolutions are fast in.
            embeddings = self.encoder.run(activations[members], self.frozen_stages, self.encoder.depth)
        logits: Tensor = self.classifier(embeddings.float())
        return logits
