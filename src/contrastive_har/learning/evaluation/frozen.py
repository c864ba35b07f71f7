"""Activations of the frozen stages of a backbone, which all heads and epochs share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.learning.compute import Compute
from contrastive_har.models.backbone import Backbone, TrainedStages

AT_ONCE = 2**28
"""Number of values of frozen stages (4 bytes each) that are kept in memory."""


class OnDemand:
    """Activations of one part of a backbone that are computed when they are chosen: all of them are too large to keep.

    Args:
        backbone: The backbone.
        trained: Number of stages that are trained.
        part: Name of the part.
        signals: All windows (windows, time, channels), raw.
        compute: Device and precision.
    """

    def __init__(
        self, backbone: Backbone, trained: TrainedStages, part: str, signals: NDArray[np.float32], compute: Compute
    ) -> None:
        self._backbone, self._trained, self._part = backbone, trained, part
        self._signals, self._compute = signals, compute

    def __getitem__(self, members: Tensor) -> Tensor:
        """Return the activations (members, ...) of some windows."""
        windows = torch.from_numpy(self._signals[members.cpu().numpy()])
        return _begin(self._backbone, windows, self._trained, self._compute)[self._part]


Activations = Mapping[str, Tensor | OnDemand]
"""Activations of the frozen stages for all windows (windows, ...), by part of the backbone."""


def run_frozen(
    backbone: Backbone, trained: TrainedStages, signals: NDArray[np.float32], used: Tensor, compute: Compute
) -> dict[str, Tensor | OnDemand]:
    """Run the frozen stages of a backbone.

    Args:
        backbone: The backbone.
        trained: Number of stages that are trained; if all are frozen, activations are embeddings and always kept.
        signals: All windows (windows, time, channels), raw.
        used: The windows that are used, in ascending order; activations of others are NaN.
        compute: Device and precision.
    """
    backbone = backbone.to(compute.device)
    parts: list[dict[str, Tensor]] = []
    for members in used.split(compute.inference_batch):
        parts.append(_begin(backbone, torch.from_numpy(signals[members.numpy()]), trained, compute))
        size = sum(values[0].numel() for values in parts[0].values())
        if trained != 0 and size * len(used) > AT_ONCE:
            return {name: OnDemand(backbone, trained, name, signals, compute) for name in parts[0]}
    return {name: _by_window(torch.cat([part[name] for part in parts]), used, len(signals)) for name in parts[0]}


def _begin(backbone: Backbone, windows: Tensor, trained: TrainedStages, compute: Compute) -> dict[str, Tensor]:
    with torch.no_grad(), compute.autocast():
        return backbone.begin(windows.to(compute.device), trained)


def _by_window(values: Tensor, used: Tensor, count: int) -> Tensor:
    """Return the values of all ``count`` windows (windows, ...), given those of the ``used`` ones; others are NaN."""
    if len(used) == count:
        return values
    place = torch.full((count,), -1)
    place[used] = torch.arange(len(used))
    place = place.to(values.device)
    everything = values[place.clamp(min=0)]  # in the memory order of the values
    everything[place < 0] = torch.nan
    return everything
