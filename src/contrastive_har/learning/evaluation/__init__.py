"""Evaluations: heads trained with few labels on top of pre-trained encoders.

Linear evaluation, fine-tuning and supervised training are settings of one procedure: choose a head and the number of
encoder stages trained with it, run the frozen stages once, train or fit the rest. Linear heads on a frozen encoder are
trained side by side with all label budgets. Repeats are divided among processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.evaluation.augmented import AugmentedCopies
from contrastive_har.learning.evaluation.fitted import fit_head
from contrastive_har.learning.evaluation.frozen import AT_ONCE, Activations, Kept, OnDemand, run_frozen
from contrastive_har.learning.evaluation.rounds import train_in_rounds
from contrastive_har.learning.evaluation.settings import EvaluationPlan, EvaluationSettings
from contrastive_har.learning.evaluation.side_by_side import train_side_by_side
from contrastive_har.learning.evaluation.stages import StageTraining
from contrastive_har.learning.evaluation.tasks import PREDICTED, Outcome, Task
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.progress import progress_bar
from contrastive_har.models.backbone import Backbone, TrainedStages
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.roles import Role, Roles
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows

__all__ = ["CURVE_COLUMNS", "PREDICTION_COLUMNS", "EvaluationPlan", "EvaluationSettings", "evaluate"]

_KEY = ["repeat", "evaluation", "label_budget"]
PREDICTION_COLUMNS = [*_KEY, *PREDICTED]
CURVE_COLUMNS = [*_KEY, "learning_rate", "epoch", "loss", "role", "macro_f1", "accuracy"]

_ROLES: tuple[Role, ...] = ("train", "validation", "test")
"""Roles of the windows that a head uses."""


def evaluate(
    windows: Windows, roles: Roles, trained: EncoderSet, plan: EvaluationPlan, compute: ComputeSettings
) -> tuple[pd.DataFrame, pd.DataFrame, list[TrainedHead]]:
    """Evaluate the encoders of every repeat with every evaluation and label budget.

    Args:
        windows: All windows, raw, with their labels.
        roles: Roles of the windows.
        trained: One backbone per repeat.
        plan: Evaluations, label budgets and seed.
        compute: Device and precision.

    Returns:
        Predictions (repeat, evaluation, label_budget, window, true, predicted, probability, and what is recognised by
        probabilities averaged over neighbouring windows) of the last epoch,
        learning curves (repeat, evaluation, label_budget, learning_rate, epoch, loss, role, macro_f1, accuracy), and
        the heads.

    Raises:
        ValueError: if a learning rate is to be chosen without validation windows.
    """
    known, own = list(windows.layout.modalities), list(trained.layout.modalities)
    expanded = [settings.expand(name, own, known) for name, settings in plan.evaluations.items()]
    plan = plan.model_copy(update={"evaluations": {name: one for some in expanded for name, one in some.items()}})
    parts = (windows.only(own), roles, trained, plan, Neighbours.of(windows))
    tries: dict[tuple[object, ...], list[Outcome]] = {}
    here = compute.resolve()
    evaluator = _Evaluator(*parts, here)
    with progress_bar(plan.name, evaluator.heads, "heads", here) as bar:
        for outcome in compute.side_by_side(partial(_train_heads, parts), evaluator.repeats):
            tries.setdefault(tuple(outcome.task.key.values()), []).append(outcome)
            bar.update()
    outcomes = [max(of_task, key=lambda tried: tried.validation_score() or 0.0) for of_task in tries.values()]
    outcomes.sort(key=lambda outcome: outcome.task.repeat)  # stable within a repeat
    if not outcomes:  # the split has none of the evaluations' label budgets
        return pd.DataFrame(columns=PREDICTION_COLUMNS), pd.DataFrame(columns=CURVE_COLUMNS), []
    predictions = pd.concat([outcome.predictions.assign(**outcome.task.key) for outcome in outcomes])
    curves = pd.concat([pd.DataFrame(outcome.curves).assign(**outcome.task.key) for outcome in outcomes])
    return (
        predictions[PREDICTION_COLUMNS].reset_index(drop=True),
        curves.reindex(columns=CURVE_COLUMNS).reset_index(drop=True),
        [outcome.head() for outcome in outcomes],
    )


def _train_heads(
    parts: tuple[Windows, Roles, EncoderSet, EvaluationPlan, Neighbours], compute: Compute, repeats: Sequence[int]
) -> Iterator[Outcome]:
    yield from _Evaluator(*parts, compute).run(repeats)


@dataclass(frozen=True)
class _Evaluator:
    """All evaluations of one row of the result tables."""

    windows: Windows
    roles: Roles
    trained: EncoderSet
    plan: EvaluationPlan
    neighbours: Neighbours
    compute: Compute
    frozen: dict[tuple[int, TrainedStages, AugmentedCopies | None, str], Kept] = field(default_factory=dict)

    @property
    def heads(self) -> int:
        """Number of heads to train."""
        of_each = (
            max(1, len(settings.learning_rates)) * len(task.variants)
            for name, settings in self.plan.evaluations.items()
            for task in self._tasks(name, settings, 0)
        )
        return len(self.repeats) * sum(of_each)

    @property
    def repeats(self) -> Sequence[int]:
        """The repeats to evaluate."""
        return range(self.trained.repeats) if self.plan.repeats is None else self.plan.repeats

    def run(self, repeats: Sequence[int]) -> Iterator[Outcome]:
        """Train all heads of some repeats."""
        for name, settings in self.plan.evaluations.items():
            if self._budgets(settings):
                for repeat in repeats:
                    yield from self._run_repeat(repeat, settings, self._tasks(name, settings, repeat))

    def _run_repeat(self, repeat: int, settings: EvaluationSettings, tasks: list[Task]) -> Iterator[Outcome]:
        """Train the heads of one evaluation and repeat; heads that stack, all at once."""
        if settings.head.stacks and settings.trained_stages == 0 and settings.self_training is None:
            features = self._features(repeat, settings)
            for rate in settings.learning_rates:
                yield from train_side_by_side(features, [task.with_copies() for task in tasks], rate, self.compute)
            return
        if settings.head.fitted:
            features = self._features(repeat, settings)
            widths = self._backbone(repeat, settings).widths
            for task in tasks:
                yield from (fit_head(features, widths, variant) for variant in task.variants)
            return
        activations = self._run_frozen(repeat, settings)
        for task in tasks:
            for rate in settings.learning_rates:
                yield train_in_rounds(task, partial(self._train_stages, activations, rate))

    def _train_stages(
        self, activations: Activations, rate: float, task: Task, _last: StageTraining | None
    ) -> StageTraining:
        """Train a head and stages of the pre-trained encoder, whatever the round before has trained."""
        backbone = self._backbone(task.repeat, task.settings)
        windows = self.windows.only(backbone.channels) if task.settings.consistency else None
        return StageTraining(backbone, activations, task, rate, self.compute, windows).run()

    def _budgets(self, settings: EvaluationSettings) -> list[LabelBudget]:
        known = self.roles.budgets
        return [
            budget
            for budget in self.plan.label_budgets
            if settings.is_for(budget) and budget.name in known and not self._exceeds(settings.most_labels, budget)
        ]

    def _exceeds(self, most: int | None, budget: LabelBudget) -> bool:
        """Return whether a label budget has more than ``most`` labelled windows in any repeat."""
        if most is None:
            return False
        return any(len(self.roles.members(repeat, "train", budget)) > most for repeat in range(self.trained.repeats))

    def _tasks(self, name: str, settings: EvaluationSettings, repeat: int) -> list[Task]:
        classes, pretrain = self.windows.classes(), self.roles.members(repeat, "pretrain")
        tasks = []
        for budget in self._budgets(settings):
            train, validation, test = (self.roles.members(repeat, role, budget) for role in _ROLES)
            seed = derive_seed(self.plan.seed, "classifier", repeat, name, budget.key)
            task = Task(
                *(repeat, name, settings, budget, seed),
                *(classes, self.windows.description.class_names, train, validation, test),
                unlabelled=np.setdiff1d(pretrain, np.concatenate([train, validation])),
                neighbours=self.neighbours,
            )
            tasks.append(task)
        if len(settings.learning_rates) > 1 and not all(len(task.validation) for task in tasks):
            raise ValueError(
                f"Evaluation '{name}' chooses a learning rate on validation windows, but split '{self.roles.split}' "
                "has none. Give it a validation_share, or the evaluation one learning_rate."
            )
        return tasks

    def _backbone(self, repeat: int, settings: EvaluationSettings) -> Backbone:
        backbone = self.trained.build(repeat)
        return backbone if settings.modalities is None else backbone.only(settings.modalities)

    def _features(self, repeat: int, settings: EvaluationSettings) -> Tensor:
        """Return frozen embeddings (windows, features) of all windows."""
        activations = self._run_frozen(repeat, settings)
        kept = {name: values.of_all() for name, values in activations.items() if isinstance(values, Kept)}
        with torch.no_grad(), self.compute.autocast():
            return self._backbone(repeat, settings).to(self.compute.device).finish(kept, 0).float()

    def _run_frozen(self, repeat: int, settings: EvaluationSettings) -> dict[str, Kept | OnDemand]:
        """Return the activations of the frozen stages of each part of the backbone, by window.

        Each modality's are computed once for all heads and evaluations, as far as memory allows; larger ones when
        they are chosen. Windows that no head of the repeat uses have none.
        """
        wanted = self._backbone(repeat, settings).parts
        keys = {name: (repeat, settings.trained_stages, settings.augmented, name) for name in wanted}
        missing = list(dict.fromkeys(wanted[name] for name, key in keys.items() if key not in self.frozen))
        computed: dict[str, Kept | OnDemand] = {}
        for modality in missing:
            computed |= self._compute_frozen(repeat, settings, modality)
        activations = {name: computed[name] if name in computed else self.frozen[key] for name, key in keys.items()}
        kept = {keys[name]: values for name, values in activations.items() if isinstance(values, Kept)}
        if sum(values.values.numel() for values in (*self.frozen.values(), *kept.values())) > AT_ONCE:
            self.frozen.clear()
        self.frozen.update(kept)
        return activations

    def _compute_frozen(self, repeat: int, settings: EvaluationSettings, modality: str) -> dict[str, Kept | OnDemand]:
        backbone = self.trained.build(repeat).only([modality])
        signals, used = self.windows.only(backbone.channels).signals, self._used(repeat, _ROLES)
        if augmented := settings.augmented:
            learned = self._used(repeat, ("train",), augmented)
            used = np.union1d(used, augmented.with_copies(learned, len(signals)))
            seed = derive_seed(self.plan.seed, "copies", repeat, modality)
            signals = augmented.extend(signals, learned, backbone, seed)
        return run_frozen(backbone, settings.trained_stages, signals, torch.from_numpy(used), self.compute)

    def _used(self, repeat: int, roles: Sequence[Role], augmented: AugmentedCopies | None = None) -> NDArray[np.int64]:
        """Return the windows in some roles for any head of a repeat, in ascending order.

        Args:
            repeat: The repeat.
            roles: The roles; to these, windows of pre-training are added, if they are learned from.
            augmented: Only heads that learn from these copies too; None for all heads.
        """
        evaluations = [one for one in self.plan.evaluations.values() if augmented in (None, one.augmented)]
        budgets = {budget for settings in evaluations for budget in self._budgets(settings)}
        used = [self.roles.members(repeat, role, budget) for budget in budgets for role in roles]
        if any(settings.learns_unlabelled for settings in evaluations):
            used.append(self.roles.members(repeat, "pretrain"))
        return np.unique(np.concatenate(used))
