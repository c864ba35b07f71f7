"""Augmentations: vectorised tensor operations that turn windows (batch, time, channels) into views of the same shape.

Each augmentation is its own settings, so that configuration, documentation and code name the same thing once.
Randomness comes from a CPU generator: drawing a handful of numbers there never makes a GPU wait.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor


class Identity(BaseModel):
    """The raw window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["identity"] = "identity"

    def __call__(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``windows`` (batch, time, channels) unchanged."""
        return windows


class Resampling(BaseModel):
    """Resampling: the same movement, slower.

    Linear interpolation puts M points between neighbours; every (N+1)-th point is kept from a random start, so that
    time is dilated by (M+1)/(N+1) (ClusterCLHAR, section on data augmentation; arXiv 2109.02054). One (M, N) and one
    start serve the whole batch, as in the published training.

    Attributes:
        inserted_and_skipped: The (M, N) pairs to draw from, each with M > N.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["resampling"] = "resampling"
    inserted_and_skipped: tuple[tuple[int, int], ...] = ((1, 0), (2, 1), (3, 2))

    @field_validator("inserted_and_skipped")
    @classmethod
    def _dilates(cls, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        if not pairs or any(inserted <= skipped or skipped < 0 for inserted, skipped in pairs):
            raise ValueError("each pair (M, N) needs M > N >= 0, so that the resampled window fits into the original")
        return pairs

    def __call__(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Return resampled ``windows`` (batch, time, channels)."""
        choice = int(torch.randint(len(self.inserted_and_skipped), (), generator=generator))
        inserted, skipped = self.inserted_and_skipped[choice]
        length = windows.shape[1]
        last_start = (length - 1) * (inserted + 1) + 1 - length * (skipped + 1)
        start = int(torch.randint(last_start + 1, (), generator=generator))
        return resample(windows, inserted, skipped, start)


def resample(windows: Tensor, inserted: int, skipped: int, start: int) -> Tensor:
    """Resample ``windows`` (batch, time, channels) with M = ``inserted``, N = ``skipped`` from a given start."""
    fine = start + torch.arange(windows.shape[1], device=windows.device) * (skipped + 1)
    before = fine // (inserted + 1)
    weight = (fine % (inserted + 1)).to(windows.dtype) / (inserted + 1)
    after = (before + 1).clamp(max=windows.shape[1] - 1)
    return torch.lerp(windows.index_select(1, before), windows.index_select(1, after), weight[:, None])


Augmentation = Annotated[Identity | Resampling, Field(discriminator="name")]
"""Any augmentation, chosen by its ``name`` in configuration."""
