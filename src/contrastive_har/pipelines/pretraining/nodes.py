"""Windows to encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining import PretrainingPlan, pretrain
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

    A state that an interrupted run left in the folder of ``checkpoints`` is gone on from. The encoders come last: once
    they are stored, that folder is emptied, and everything else must be stored by then. ``method_check`` is an input
    for the order only: all methods are checked before any is trained.

    Raises:
        IllPosedError: if the method cannot learn from such windows, which may have been made with other settings.
    """
    members = [roles.members(repeat, "pretrain") for repeat in range(plan.repeats)]
    counts = [len(of_repeat) for of_repeat in members]
    require_trainable(plan, counts, windows.layout, windows.class_count, compute.processes_in_all)
    titled = plan.model_copy(update={"name": f"{roles.split} {plan.name}"})
    encoders, history = pretrain(windows, members, titled, compute, checkpoints)
    return history, encoders
