"""Windows to encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining import PretrainingPlan, pretrain, with_features_beside
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.protocols import require_trainable
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows


def pretrain_encoders(
    windows: Windows,
    roles: Roles,
    method_check: dict[str, Any],
    plan: PretrainingPlan,
    compute: ComputeSettings,
    checkpoints: Path,
) -> tuple[pd.DataFrame, EncoderSet]:
    """Pre-train the encoders of all repeats of one method on one split, without labels.

    Training continues from a checkpoint that an interrupted run has left in the folder ``checkpoints``. The encoders
    are the last output, because their checkpoints are deleted as soon as they are stored. ``method_check`` is an input
    for the order only: all methods are checked before any is trained.

    Raises:
        IllPosedError: if the method cannot learn from these windows, which may have been cut with other settings.
    """
    members = [roles.members(repeat, "pretrain") for repeat in range(plan.repeats)]
    counts = [len(of_repeat) for of_repeat in members]
    require_trainable(plan, counts, windows.layout, windows.class_count, compute.processes_in_all)
    titled = plan.model_copy(update={"name": f"{roles.split} {plan.name}"})
    encoders, history = pretrain(windows, members, titled, compute, checkpoints)
    return history, encoders


def take_encoders(
    windows: Windows, roles: Roles, trained_history: pd.DataFrame, trained_encoders: EncoderSet, plan: PretrainingPlan
) -> tuple[pd.DataFrame, EncoderSet]:
    """Take the encoders of another method, which was trained with the same settings, with other features beside them.

    Returns:
        The history of that method, and the encoders.
    """
    members = [roles.members(repeat, "pretrain") for repeat in range(plan.repeats)]
    return trained_history, with_features_beside(trained_encoders, windows, members, plan)
