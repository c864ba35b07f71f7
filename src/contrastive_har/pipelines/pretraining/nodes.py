"""Windows to encoders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining import pretrain
from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.learning.trained_encoders import EncoderSet
from contrastive_har.signals.splits import windows_with_role
from contrastive_har.signals.windows import Windows


def pretrain_encoders(
    windows: Windows,
    splits: pd.DataFrame,
    checkpoints: Path,
    protocol: ProtocolSettings,
    compute: ComputeSettings,
    seed: int,
    *,
    split: str,
    method: str,
) -> tuple[pd.DataFrame, EncoderSet]:
    """Pre-train the encoders of all repeats of one method on one split, without labels.

    What an interrupted run left in the folder of ``checkpoints`` is gone on from. The encoders come last: once they are
    stored, that folder is emptied, and everything else must be in place by then.

    Raises:
        IllPosedError: if the method could not learn from such windows; other settings may have made them.
    """
    members = [windows_with_role(splits, split, repeat, "pretrain") for repeat in range(protocol.repeats)]
    shape = (windows.length, len(windows.description.channels))
    protocol.require_length(method, windows.length, windows.description.name)
    counts = [len(one) for one in members]
    classes = len(windows.description.recognised)
    protocol.require_trainable(method, counts, shape, classes, compute.processes_in_all)
    encoders, history = pretrain(
        signals=windows.signals,
        classes=windows.classes(),
        members=members,
        method=protocol.methods[method].pretraining,
        encoder=protocol.encoder_of(method),
        budget=protocol.budget_of(method),
        compute=compute,
        seed=seed,
        title=f"{split} {method}",
        checkpoints=checkpoints,
    )
    return history, encoders
