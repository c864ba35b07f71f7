"""Windows of several modalities, made of those with one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.losses import contrast
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.base import Objective
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.signals.windows import Windows

CPU = ComputeSettings(device="cpu", precision="float32", inference_batch=256)
SMALL = BackboneSettings(encoder=TPNSettings(channels=(6, 8), kernels=(5, 3), dropout=0.1))
TWO = ("hand", "foot", "foot")
THREE = ("hand", "foot", "head")


def suited(budget: PretrainingBudget, objective: ObjectiveSettings) -> PretrainingBudget:
    """Return the budget, without what compares losses where those of the objective do not compare."""
    return budget if objective.loss_compares else budget.model_copy(update={"keep": "last", "patience": None})


def in_modalities(windows: Windows, *names: str) -> Windows:
    """Return the windows with a modality for each channel; each modality is one sensor."""
    channels = tuple(
        channel.model_copy(update={"modality": name, "sensor": name})
        for channel, name in zip(windows.description.channels, names, strict=True)
    )
    return replace(windows, description=windows.description.model_copy(update={"channels": channels}))


def build(settings: ObjectiveSettings, windows: Windows, backbone: BackboneSettings = SMALL) -> Objective:
    """Return an objective around untrained encoders, in double precision and without dropout."""
    torch.manual_seed(0)
    layout = windows.layout
    return settings.build_for(backbone.build(layout).by_modality, layout, windows.class_count).double().eval()


def some(windows: Windows, count: int, seed: int = 0) -> Tensor:
    """Return some of the windows, in double precision."""
    chosen = np.random.default_rng(seed).permutation(len(windows.signals))[:count]
    return torch.from_numpy(windows.signals[chosen]).double()


def nt_xent(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    """The contrastive loss with all other windows as negatives."""
    return contrast(a, b, temperature)


def cluster_nt_xent(
    a: torch.Tensor, b: torch.Tensor, clusters_a: torch.Tensor, clusters_b: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The contrastive loss with windows of other clusters as negatives."""
    return contrast(a, b, temperature, clusters=(clusters_a, clusters_b))
