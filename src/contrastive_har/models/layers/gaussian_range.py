"""Gaussian range encoding: positions as shares of a few learned ranges of time (Li et al. 2021, THAT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GaussianRange(nn.Module):
    """Adds to each step the vectors of the ranges it belongs to.

    A range is a normal distribution over time, of learned mean and deviation, and a learned vector. Its share at a step
    is its density there, over the sum of the densities of all ranges. Time goes from 0 to 1, so that the same learning
    rate suits windows of any length; at first the ranges divide it evenly.

    Args:
        steps: Number of steps.
        width: Features of a step.
        ranges: Number of ranges.
    """

    def __init__(self, steps: int, width: int, ranges: int) -> None:
        super().__init__()
        self.steps = steps
        self.means = nn.Parameter((torch.arange(ranges) + 0.5) / ranges)
        self.log_deviations = nn.Parameter(torch.full((ranges,), 1 / ranges).log())
        self.vectors = nn.Parameter(nn.init.xavier_uniform_(torch.empty(ranges, width)))

    def forward(self, steps: Tensor) -> Tensor:
        """Return ``steps`` (batch, steps, width), each with the vectors of its ranges added."""
        return steps + self.shares() @ self.vectors

    def shares(self) -> Tensor:
        """Return the share of each range at each step: (steps, ranges)."""
        times = (torch.arange(self.steps, device=self.means.device) + 0.5) / self.steps
        scores = (times.unsqueeze(1) - self.means) / self.log_deviations.exp()
        # The logarithm of a density, less what is the same for all ranges.
        return (-scores.square() / 2 - self.log_deviations).softmax(1)
