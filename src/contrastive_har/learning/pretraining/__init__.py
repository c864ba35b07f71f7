"""Pre-training: windows without labels to encoders, one per repeat and modality."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from contrastive_har.files.fingerprints import code_version, fingerprint
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.objectives import Objective
from contrastive_har.learning.pretraining.batches import Batches
from contrastive_har.learning.pretraining.checkpoints import Checkpoints
from contrastive_har.learning.pretraining.diagnostics import NOT_MEASURED, measure_retrieval
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.pretraining.plans import BackboneSettings, PretrainingBudget, PretrainingPlan
from contrastive_har.learning.pretraining.trainer import MEASURED, Trainer
from contrastive_har.models.backbone import Backbone
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.seeds import derive_seed, seeded
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.windows import Windows

__all__ = [
    "HISTORY_COLUMNS",
    "BackboneSettings",
    "PretrainingBudget",
    "PretrainingPlan",
    "checkpoints_of",
    "pretrain",
    "with_features_beside",
]

_MEASURED = [*MEASURED, "recall_at_1", "recall_at_5"]
HISTORY_COLUMNS = ["repeat", "epoch", *_MEASURED]

_MOST_MEASURED = 200_000
"""Windows of which channels are normalised and features calibrated; of more, a sample."""

_MOST_UNSEEN = 500
"""Windows among which the partners of one another are searched for."""


_Trained = tuple[list[dict[str, Tensor]], list[list[float]]]
"""Weights of the encoders of a repeat, and what was measured, epoch by epoch."""


def pretrain(
    windows: Windows,
    members: Sequence[NDArray[np.int64]],
    plan: PretrainingPlan,
    compute: ComputeSettings,
    checkpoints: Path | None = None,
) -> tuple[EncoderSet, pd.DataFrame]:
    """Pre-train one backbone per repeat, without labels.

    The seed of a repeat does not depend on the objective, so objectives start from the same weights and see the same
    batches: their scores are paired.

    Args:
        windows: All windows, raw; their labels are used for cluster diagnostics only.
        members: For each repeat, the windows to learn from.
        plan: Objective, encoders and budget.
        compute: Device, precision and processes.
        checkpoints: Folder of the checkpoints of all trainings; this one has a subfolder (:func:`checkpoints_of`).
            Training continues from a checkpoint of the same code, data, plan and seed, and ends with the same weights
            as without an interruption. None saves no checkpoints.

    Returns:
        The encoders, and the history: one row per repeat and epoch.

    Raises:
        ValueError: if the processes cannot share a batch evenly, or a trained module has batch normalisation.
        FloatingPointError: if the loss is not finite.
    """
    windows = windows.only(plan.backbone.modalities)
    layout = windows.layout
    trains = plan.objective.trains
    backbones = [_initial_backbone(plan, layout, windows.signals, repeat, rows) for repeat, rows in enumerate(members)]
    if trains and compute.processes_in_all > 1:
        _require_divisible(plan, backbones[0], layout, windows.class_count, compute.processes_in_all)
    strides = plan.objective.strides_between_views
    neighbours = Neighbours.of(windows, strides) if strides else None
    parts = (windows.signals, plan.objective, plan.backbone, plan.budget, layout, windows.class_count, plan.seed)
    training = fingerprint(code_version(), *parts, *(() if neighbours is None else (neighbours.place,)))
    encoders_fingerprint = fingerprint(training, *members)
    history = torch.full((len(members), plan.budget.epochs, len(_MEASURED)), torch.nan, dtype=torch.float64)
    if trains:
        folder = checkpoints and checkpoints_of(checkpoints, encoders_fingerprint)
        saving = Checkpoints(folder, training, compute.checkpoint_every) if folder else None
        facts = (windows.classes(), members, neighbours, layout, windows.class_count)
        job = _Job(backbones, history, torch.from_numpy(windows.signals), *facts, plan, saving)
        if compute.processes_in_all > 1:
            compute.run(_train_and_fill, job)
        else:
            _fill(job, compute.side_by_side(partial(_train_repeats, job), range(len(members))))
    encoders = EncoderSet(
        settings=plan.backbone,
        layout=layout,
        fingerprint=encoders_fingerprint,
        weights=tuple(_copied(backbone) for backbone in backbones),
    )
    index = pd.MultiIndex.from_product(
        [range(len(members)), range(1, plan.budget.epochs + 1)], names=["repeat", "epoch"]
    )
    table = pd.DataFrame(history.flatten(0, 1).numpy(), index, _MEASURED).reset_index()
    return encoders, table if trains else table[:0]


def with_features_beside(
    trained: EncoderSet, windows: Windows, members: Sequence[NDArray[np.int64]], plan: PretrainingPlan
) -> EncoderSet:
    """Return the backbones of a plan with encoders that have been trained already.

    Args:
        trained: Encoders of a plan that differs only in what stands beside them.
        windows: All windows, raw.
        members: For each repeat, the windows that the features beside the encoders measure.
        plan: The plan; its seeds are those of :func:`pretrain`.
    """
    windows = windows.only(plan.backbone.modalities)
    weights = []
    for repeat, rows in enumerate(members):
        backbone = _initial_backbone(plan, windows.layout, windows.signals, repeat, rows)
        for encoder, other in zip(backbone.encoders, trained.build(repeat).encoders, strict=True):
            encoder.load_state_dict(other.state_dict())
        weights.append(_copied(backbone))
    together = fingerprint(trained.fingerprint, plan.backbone)
    return EncoderSet(plan.backbone, windows.layout, together, tuple(weights))


def _copied(backbone: Backbone) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in backbone.state_dict().items()}


def checkpoints_of(checkpoints: Path, encoders: str) -> Path:
    """Return the folder of the checkpoints of a training, given the fingerprint of its ``encoders``."""
    return checkpoints / encoders[:16]


def _initial_backbone(
    plan: PretrainingPlan, layout: Layout, signals: NDArray[np.float32], repeat: int, members: NDArray[np.int64]
) -> Backbone:
    if len(members) > _MOST_MEASURED:
        chosen = np.random.default_rng(derive_seed(plan.seed, "measured", repeat)).permutation(members)
        members = np.sort(chosen[:_MOST_MEASURED])
    learned_from = signals[members]
    normalisation = plan.backbone.normalisation_of(learned_from, layout)
    with seeded(derive_seed(plan.seed, "weights", repeat)):
        backbone = plan.backbone.build(layout)
        backbone.set_normalisation(torch.from_numpy(normalisation.mean), torch.from_numpy(normalisation.deviation))
        backbone.calibrate(torch.from_numpy(learned_from))
    return backbone


def _require_divisible(plan: PretrainingPlan, backbone: Backbone, layout: Layout, classes: int, processes: int) -> None:
    """Check that several processes can train together.

    Raises:
        ValueError: if they cannot share a batch evenly, or a trained module has batch normalisation.
    """
    if plan.budget.batch_size % processes:
        raise ValueError(
            f"{plan.name}: budget.batch_size {plan.budget.batch_size} does not divide among {processes} processes. "
            "Choose a multiple."
        )
    with seeded(0):
        objective = _objective(plan, backbone, layout, classes)
    if any(isinstance(module, _BatchNorm) for module in objective.modules()):
        raise ValueError(
            f"{plan.name}: batch normalisation would see each process's share of a batch and not all of it. Set "
            "batch_norm: false where the encoder or the objective has it, or compute.processes: 1."
        )


def _objective(plan: PretrainingPlan, backbone: Backbone, layout: Layout, classes: int) -> Objective:
    """Return the objective of a plan around copies of a backbone's encoders."""
    objective = plan.objective.build_for(deepcopy(backbone.by_modality), layout, classes)
    objective.fewest, objective.neighbours = plan.objective.fewest(classes), plan.objective.strides_between_views
    return objective


@dataclass(frozen=True)
class _Job:
    """All repeats of a training; processes on one machine share the tensors.

    Attributes:
        backbones: One per repeat; trained in place.
        history: Filled in place (repeats, epochs, measured).
        signals: All windows (windows, time, channels), raw.
        classes: Their class indices, for diagnostics.
        members: For each repeat, the windows to learn from.
        neighbours: Which windows are neighbours; None, if the objective asks for none.
        layout: Layout of a window.
        class_count: Number of activities.
        plan: Objective, encoders and budget.
        saving: Checkpoints to save; None to save none.
    """

    backbones: Sequence[Backbone]
    history: Tensor
    signals: Tensor
    classes: NDArray[np.int64]
    members: Sequence[NDArray[np.int64]]
    neighbours: Neighbours | None
    layout: Layout
    class_count: int
    plan: PretrainingPlan
    saving: Checkpoints | None


def _train_and_fill(compute: Compute, job: _Job) -> None:
    """Train every repeat's backbone in place, in one of several processes that share each batch."""
    trained = list(_train_repeats(job, compute, range(len(job.members))))
    if compute.rank == 0:  # the others have the same weights
        _fill(job, trained)


def _train_repeats(job: _Job, compute: Compute, repeats: Sequence[int]) -> Iterator[_Trained]:
    yield from (_train_repeat(job, compute, repeat) for repeat in repeats)


def _fill(job: _Job, trained: Iterable[_Trained]) -> None:
    """Write the weights of each repeat's encoders, and its history, into the job."""
    for repeat, (weights, measured) in enumerate(trained):
        for encoder, state in zip(job.backbones[repeat].encoders, weights, strict=True):
            encoder.load_state_dict(state)
        job.history[repeat] = torch.tensor(measured, dtype=job.history.dtype)


def _train_repeat(job: _Job, compute: Compute, repeat: int) -> _Trained:
    """Train one repeat's encoders; return their weights, and what was measured, epoch by epoch."""
    plan, backbone, members = job.plan, job.backbones[repeat], job.members[repeat]
    with seeded(derive_seed(plan.seed, "head", repeat), compute.random_devices):
        objective = _objective(plan, backbone, job.layout, job.class_count)
        saving = job.saving and replace(
            job.saving, training=fingerprint(job.saving.training, members, repeat, str(compute), compute.processes)
        )
        title = f"{plan.name} {repeat + 1}/{len(job.members)}"
        trainer = Trainer(objective, plan.budget, compute, derive_seed(plan.seed, repeat), title, saving)
        numbers = torch.from_numpy(members)
        batches = Batches(job.signals, numbers, backbone.normalise, compute.device, job.neighbours)
        rows = trainer.run(batches, job.classes[members])
    unseen = backbone.normalise(job.signals[_sample_of_unseen(len(job.signals), members, plan.seed)])
    retrieval = measure_retrieval(objective.eval(), unseen.to(compute.device))
    rows = [*({**dict.fromkeys(retrieval, NOT_MEASURED), **row} for row in rows[:-1]), {**rows[-1], **retrieval}]
    weights = [{name: value.cpu() for name, value in one.state_dict().items()} for one in objective.encoders]
    return weights, [[row[name] for name in _MEASURED] for row in rows]


def _sample_of_unseen(count: int, members: NDArray[np.int64], seed: int) -> Tensor:
    """Return at most ``_MOST_UNSEEN`` of the windows that are not learned from."""
    unseen = np.setdiff1d(np.arange(count), members)
    chosen = np.random.default_rng(derive_seed(seed, "unseen")).permutation(unseen)[:_MOST_UNSEEN]
    return torch.from_numpy(np.sort(chosen))
