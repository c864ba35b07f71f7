"""Differences of neighbouring samples: motion, where the samples are positions."""

from __future__ import annotations

import torch
from torch import Tensor


def differences(windows: Tensor) -> Tensor:
    """Return each sample of ``windows`` (batch, time, channels) minus the one before it; the first is zero."""
    return torch.cat([torch.zeros_like(windows[:, :1]), windows[:, 1:] - windows[:, :-1]], dim=1)
