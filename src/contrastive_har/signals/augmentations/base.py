"""The contract of augmentations, and the random numbers they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from contrastive_har.signals.sensors import Layout


@dataclass(frozen=True)
class Draws:
    """Random numbers for the windows of a batch.

    Where several processes share a batch, each draws for all of it and keeps what belongs to its windows, so that a
    window's view does not depend on who makes it.

    Attributes:
        generator: On the windows' device.
        processes: How many share the batch.
        rank: Which of them this is.
    """

    generator: torch.Generator
    processes: int = 1
    rank: int = 0

    def uniform(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (batch, *shape) numbers uniform in [0, 1)."""
        return self._own(torch.rand, windows, len(windows) * self.processes, *shape)

    def integers(self, windows: Tensor, low: int, high: int) -> Tensor:
        """Draw (batch,) whole numbers from ``low`` to below ``high``."""
        size = (len(windows) * self.processes,)
        drawn = torch.randint(low, high, size, device=windows.device, generator=self.generator)
        return drawn.chunk(self.processes)[self.rank]

    def normal(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (batch, *shape) standard normal numbers."""
        return self._own(torch.randn, windows, len(windows) * self.processes, *shape)

    def once(self, windows: Tensor, *shape: int) -> Tensor:
        """Draw (1, *shape) numbers uniform in [0, 1) that hold for the whole batch."""
        return torch.rand(1, *shape, device=windows.device, dtype=windows.dtype, generator=self.generator)

    def _own(self, draw: Callable[..., Tensor], windows: Tensor, *shape: int) -> Tensor:
        drawn = draw(*shape, device=windows.device, dtype=windows.dtype, generator=self.generator)
        return drawn.chunk(self.processes)[self.rank]


class BaseAugmentation(BaseModel, ABC):
    """Settings and contract of an augmentation.

    Attributes:
        probability: Share of windows that are changed; the others stay as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    probability: float = Field(default=1.0, gt=0, le=1)

    def __call__(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        """Return views (batch, time, channels) of ``windows``.

        Args:
            windows: (batch, time, channels).
            draws: Random numbers on the same device.
            layout: What the channels are.

        Raises:
            ValueError: if the augmentation cannot work on windows of this layout.
        """
        if problem := self.problem(layout):
            raise ValueError(problem)
        changed = self._change(windows, draws, layout)
        if self.probability == 1:
            return changed
        chosen = draws.uniform(windows, 1, 1) < self.probability
        return torch.where(chosen, changed, windows)

    def problem(self, layout: Layout) -> str | None:
        """Return why windows of such a layout cannot be augmented, and the cure; None if they can."""
        return None

    @abstractmethod
    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor: ...
