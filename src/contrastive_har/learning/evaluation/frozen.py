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


class Kept:
    """Activations of some windows, which are chosen by the windows' numbers.

    Args:
        values: The activations (used, ...), in the order of ``used``.
        used: The windows that have some, in ascending order.
        count: Number of all windows.
    """

    def __init__(self, values: Tensor, used: Tensor, count: int) -> None:
        self.values = values
        place = torch.full((count,), count)  # out of range: a window without activations is an error when it is chosen
        place[used] = torch.arange(len(used))
        self._place = place.to(values.device)

    def __getitem__(self, members: Tensor) -> Tensor:
        """Return the activations (members, ...) of some windows."""
        return self.values[self._place[members]]  # in the memory order of the values

    def of_all(self) -> Tensor:
        """Return the activations of all windows (windows, ...); of those without any, NaN."""
        is_used = self._place < len(self.values)
        if is_used.all():
            return self.values
        everything = self.values[self._place.where(is_used, 0)]
        everything[~is_used] = torch.nan
        return everything


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


Activations = Mapping[str, Kept | OnDemand]
"""Activations of the frozen stages, by part of the backbone."""


def run_frozen(
    backbone: Backbone, trained: TrainedStages, signals: NDArray[np.float32], used: Tensor, compute: Compute
) -> dict[str, Kept | OnDemand]:
    """Run the frozen stages of a backbone.

    Args:
        backbone: The backbone.
        trained: Number of stages that are trained; if all are frozen, activations are embeddings and always kept.
        signals: All windows (windows, time, channels), raw.
        used: The windows that are used, in ascending order; others have no activations.
        compute: Device and precision.
    """
    backbone = backbone.to(compute.device)
    parts: list[dict[str, Tensor]] = []
    for members in used.split(compute.inference_batch):
        parts.append(_begin(backbone, torch.from_numpy(signals[members.numpy()]), trained, compute))
        size = sum(values[0].numel() for values in parts[0].values())
        if trained != 0 and size * len(used) > AT_ONCE:
            return {name: OnDemand(backbone, trained, name, signals, compute) for name in parts[0]}
    return {name: Kept(torch.cat([part[name] for part in parts]), used, len(signals)) for name in parts[0]}


def _begin(backbone: Backbone, windows: Tensor, trained: TrainedStages, compute: Compute) -> dict[str, Tensor]:
    with torch.no_grad(), compute.autocast():
        return backbone.begin(windows.to(compute.device), trained)
