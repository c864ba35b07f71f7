"""Evaluations: what a classifier on top of an encoder makes of a few labels.

Linear evaluation, fine-tuning and supervised training are three settings of one procedure: choose how much of the
encoder is trained, run the frozen part once, train the rest. Where nothing but the classifier is trained, those of
several repeats and all label fractions are trained side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from contrastive_har.learning.classification.heads import train_side_by_side
from contrastive_har.learning.classification.stages import StageTraining
from contrastive_har.learning.classification.tasks import EvaluationSettings, Outcome, Task
from contrastive_har.learning.classifiers import TrainedClassifier
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.trained_encoders import EncoderSet
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.splits import LabelFraction, windows_with_role

__all__ = ["EvaluationSettings", "evaluate"]

_AT_ONCE = 2**28
"""Numbers (4 bytes each) of frozen features above which no further repeat's are added to those held."""


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
    tries: dict[tuple[object, ...], list[Outcome]] = {}
    shares = set(splits.loc[splits["split"] == split, "label_fraction"].dropna())
    tried = {name: [one for one in fractions if one.is_for(name) and one.share in shares] for name in evaluations}
    work = len(repeats) * sum(len(evaluations[name].learning_rates) * len(of) for name, of in tried.items())
    with tqdm(total=work, unit=" classifiers", desc=title, disable=None) as bar:

        def keep(outcome: Outcome) -> None:
            tries.setdefault(tuple(outcome.task.key.values()), []).append(outcome)
            bar.update()

        for name, settings in evaluations.items():
            features: dict[int, Tensor] = {}
            tasks: list[Task] = []
            for repeat in repeats:
                of_repeat = [
                    _task(classes, splits, split, repeat, name, fraction, settings, seed) for fraction in tried[name]
                ]
                if len(settings.learning_rates) > 1 and not all(len(task.validation) for task in of_repeat):
                    raise ValueError(
                        f"Evaluation '{name}' chooses a learning rate on validation windows, but split '{split}' has "
                        "none. Give it a validation_share, or the evaluation one learning_rate."
                    )
                activations = _run_frozen(encoders, repeat, signals, settings, machine)
                if settings.trained_stages:
                    for task in of_repeat:
                        for rate in settings.learning_rates:
                            keep(StageTraining(encoders.build(repeat), task, settings, rate, machine).run(activations))
                    continue
                features[repeat] = activations.float()
                tasks += of_repeat
                if repeat == repeats[-1] or sum(held.numel() for held in features.values()) > _AT_ONCE:
                    for rate in settings.learning_rates:
                        for outcome in train_side_by_side(features, tasks, settings, rate, machine):
                            keep(outcome)
                    features.clear()
                    tasks.clear()
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
    settings: EvaluationSettings,
    seed: int,
) -> Task:
    train, validation, test = (
        windows_with_role(splits, split, repeat, role, fraction.share) for role in ("train", "validation", "test")
    )
    own_seed = derive_seed(seed, "classifier", repeat, evaluation, fraction.share)
    batch_size = settings.batch_size_for(fraction)
    return Task(repeat, evaluation, fraction.share, batch_size, own_seed, classes, train, validation, test)


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
