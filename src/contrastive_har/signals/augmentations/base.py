"""The base class of augmentations, and the random numbers they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from contrastive_har.signals.sensors import Layout
from contrastive_har.strict import StrictModel


@dataclass(frozen=True)
class Draws:
    """Random numbers for the windows of a batch.

    If several processes share a batch, each draws numbers for the whole batch and uses those of its share, so that a
    window's view does not depend on the process that computes it.

    Attributes:
        generator: Generator on the windows' device.
        processes: Number of processes that share the batch.
        rank: Index of this process.
    """

    generator: torch.Generator
    processes: int = 1
    rank: int = 0

    def uniform(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (batch, *shape) numbers uniform in [0, 1)."""
        return self._draw_share(torch.rand, windows, len(windows) * self.processes, *shape)

    def integers(self, windows: Tensor, low: int, high: int) -> Tensor:
        """Draw (batch,) whole numbers from ``low`` to below ``high``."""
        size = (len(windows) * self.processes,)
        drawn = torch.randint(low, high, size, device=windows.device, generator=self.generator)
        return drawn.chunk(self.processes)[self.rank]

    def normal(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (batch, *shape) standard normal numbers."""
        return self._draw_share(torch.randn, windows, len(windows) * self.processes, *shape)

    def once(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (1, *shape) numbers uniform in [0, 1) that hold for the whole batch."""
        return torch.rand(1, *shape, device=windows.device, dtype=windows.dtype, generator=self.generator)

    def _draw_share(self, draw: Callable[..., Tensor], windows: Tensor, *shape: int) -> Tensor:
        drawn = draw(*shape, device=windows.device, dtype=windows.dtype, generator=self.generator)
        return drawn.chunk(self.processes)[self.rank]


@cache
def constant(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers in nested tuples as a tensor that is copied to its device once: a step would wait for a copy."""
    return torch.tensor(values, device=device, dtype=dtype)


class BaseAugmentation(StrictModel, ABC):
    """Base class of augmentations, which are their own settings.

    Attributes:
        probability: Probability that a window is changed.
    """

    name: str
    probability: float = Field(default=1.0, gt=0, le=1)

    def __call__(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        """Return views (batch, time, channels) of ``windows``.

        Args:
            windows: (batch, time, channels).
            draws: Random numbers on the same device.
            layout: Layout of the windows.

        Raises:
            ValueError: if the augmentation cannot be applied to windows of this layout.
        """
        if problem := self.problem(layout):
            raise ValueError(problem)
        changed = self._change(windows, draws, layout)
        if self.probability == 1:
            return changed
        chosen = draws.uniform(windows, 1, 1) < self.probability
        return torch.where(chosen, changed, windows)

    def problem(self, layout: Layout) -> str | None:
        """Return why windows of ``layout`` cannot be augmented, and the cure; None if they can."""
        return None

    @abstractmethod
    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor: ...
