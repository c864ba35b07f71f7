"""Checks, before anything is trained, that a protocol suits the data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from contrastive_har.learning.evaluation.settings import EvaluationPlan
from contrastive_har.learning.objectives.base import FEWEST
from contrastive_har.learning.pretraining.plans import PretrainingPlan
from contrastive_har.signals.augmentations import first_problem
from contrastive_har.signals.sensors import Layout


class IllPosedError(ValueError):
    """A protocol that does not suit the data; the message names the method and the cure."""


def require_trainable(
    plan: PretrainingPlan, counts: Collection[int], layout: Layout, classes: int, processes: int = 1
) -> None:
    """Refuse a method that cannot learn from the windows, before anything is trained.

    Args:
        plan: Pre-training of the method.
        counts: Number of pre-training windows of every repeat.
        layout: Layout of a window.
        classes: Number of activities.
        processes: Number of processes that share each batch.

    Raises:
        IllPosedError: naming the method and the cure.
    """
    layout = layout.only(plan.backbone.modalities or layout.modalities)
    fewest = min(counts)
    shortest = plan.backbone.shortest_window(layout.modalities)
    if layout.length < shortest:
        raise IllPosedError(
            f"Windows of {layout.length} samples are too short for the encoder of method '{plan.name}', which needs "
            f"{shortest}. Lengthen windows.length."
        )
    if (view := plan.objective.shortest_view(layout.length)) < shortest:
        raise IllPosedError(
            f"Method '{plan.name}' has views of {view} samples, but its encoder needs {shortest}. Lengthen its views."
        )

    if reason := plan.backbone.problem(layout):
        raise IllPosedError(f"Method '{plan.name}' {reason}.")

    if plan.objective.trains and fewest < max(FEWEST, processes):
        raise IllPosedError(
            f"Method '{plan.name}' has {fewest} windows to pre-train on, in {processes} processes. Record more, or "
            "lower compute.processes."
        )
    needed = plan.objective.fewest(classes)
    smallest = min(plan.budget.smallest_batch(count, processes, needed) for count in counts)
    if reason := plan.objective.problem(smallest, layout, classes):
        raise IllPosedError(f"Method '{plan.name}' {reason}.")


def require_evaluable(
    plan: EvaluationPlan, layout: Layout, modalities: Sequence[str], class_names: Sequence[str]
) -> None:
    """Refuse evaluations whose heads or views do not suit the data, before anything is trained.

    Args:
        plan: Evaluations of a method.
        layout: Layout of a window.
        modalities: Modalities that the method's encoder has.
        class_names: Names of the activities.

    Raises:
        IllPosedError: naming the evaluation and the cure.
    """
    expanded = (
        item
        for name, settings in plan.evaluations.items()
        for item in settings.expand(name, modalities, list(layout.modalities)).items()
    )
    for name, settings in expanded:
        own = layout.only(settings.modalities or modalities)
        consistency, augmented = settings.consistency, settings.augmented
        views = {"consistency": (*consistency.weak, *consistency.strong)} if consistency else {}
        views |= {"augmented copies": augmented.view} if augmented else {}
        for what, view in views.items():
            if reason := first_problem(view, own):
                raise IllPosedError(
                    f"Evaluation '{name}' of method '{plan.name}': {reason}. Leave this out of its {what}, or leave "
                    "the method out."
                )
        try:
            settings.head.build_for([1] * len(own.modalities), class_names)
        except ValueError as error:
            raise IllPosedError(f"Evaluation '{name}' of method '{plan.name}': {error}") from error
