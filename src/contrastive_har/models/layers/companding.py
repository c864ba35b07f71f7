"""Companding: enlarges small movements and compresses large ones before an encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def compand(windows: Tensor, scale: float) -> Tensor:
    """Return ``windows`` (batch, time, channels) with deviations from each channel's mean compressed.

    With m the mean of a window's channel over time, and s the scale::

        y = m + asinh((x - m) / s) / asinh(1 / s)

    A deviation of one, which in normalised windows is the channel's standard deviation over all windows, stays one.
    Larger ones grow by their logarithm; those far below s are enlarged by 1 / (s asinh(1 / s)). The mean, which holds
    the tilt of a posture, is not changed. Sitting and standing differ by tremors a hundredth the size of a step, which
    are negligible beside the steps without companding.

    Args:
        windows: Normalised windows.
        scale: Deviation at which compression sets in, in standard deviations.
    """
    mean = windows.mean(1, keepdim=True)
    return mean + torch.asinh((windows - mean) / scale) / math.asinh(1 / scale)
