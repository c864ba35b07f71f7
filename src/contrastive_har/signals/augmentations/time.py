"""Augmentations of time: reversal, permutation, warping, resampling, cropping."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from contrastive_har.signals.augmentations.base import BaseAugmentation, Draws, constant
from contrastive_har.signals.sensors import Layout


class TimeReversal(BaseAugmentation):
    """The window reversed in time."""

    name: Literal["time_reversal"] = "time_reversal"

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        return windows.flip(1)


class Permutation(BaseAugmentation):
    """The window cut at random times, with its pieces in another order.

    Attributes:
        cuts: Number of cuts, some of which may coincide; or ``everywhere``: each sample is a piece.
    """

    name: Literal["permutation"] = "permutation"
    cuts: Annotated[int, Field(gt=0)] | Literal["everywhere"] = 4

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        time = windows.shape[1]
        if self.cuts == "everywhere":
            return _at_samples(windows, draws.uniform(windows, time).argsort(dim=1))
        cuts = (draws.uniform(windows, self.cuts) * time).long().sort(dim=1).values
        samples = torch.arange(time, device=windows.device).expand(len(windows), time).contiguous()
        piece = torch.searchsorted(cuts, samples, right=True)
        rank = draws.uniform(windows, self.cuts + 1).argsort(dim=1)  # of each piece in the new order
        order = (rank.gather(1, piece) * time + samples).argsort(dim=1)
        return _at_samples(windows, order)


class TimeWarp(BaseAugmentation):
    """Time warped along a smooth random curve; start and end are fixed.

    Attributes:
        knots: Points between start and end at which the speed is drawn; a cubic spline connects them.
        deviation: Standard deviation of the speeds around one.
    """

    name: Literal["time_warp"] = "time_warp"
    knots: int = Field(default=4, gt=0)
    deviation: float = Field(default=0.2, gt=0)

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        time = windows.shape[1]
        drawn = 1 + self.deviation * draws.normal(windows, self.knots + 2)
        speeds = drawn @ constant(_spline_basis(self.knots + 2, time), drawn.device, drawn.dtype)
        # Speeds near or below zero would stop or reverse time.
        clock = speeds.clamp(min=0.05).cumsum(1)
        clock = (clock - clock[:, :1]) / (clock[:, -1:] - clock[:, :1])
        return interpolate(windows, clock * (time - 1))


class Resampling(BaseAugmentation):
    """Resampling: the movement is slowed down.

    Linear interpolation puts M points between neighbours; every (N+1)-th point is kept from a random start, so that
    time is dilated by (M+1)/(N+1) (ClusterCLHAR, section on data augmentation; arXiv 2109.02054).

    Attributes:
        inserted_and_skipped: The (M, N) pairs to draw from, each with M > N.
        draw: ``per_batch``: one (M, N) and one start for the whole batch, as in the published training;
            ``per_window``: one for each window.
    """

    name: Literal["resampling"] = "resampling"
    inserted_and_skipped: tuple[tuple[int, int], ...] = ((1, 0), (2, 1), (3, 2))
    draw: Literal["per_batch", "per_window"] = "per_batch"

    @field_validator("inserted_and_skipped")
    @classmethod
    def _dilates(cls, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        if not pairs or any(inserted <= skipped or skipped < 0 for inserted, skipped in pairs):
            raise ValueError("each pair (M, N) needs M > N >= 0, so that the resampled window fits into the original")
        return pairs

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        length = windows.shape[1]
        pairs = constant(self.inserted_and_skipped, windows.device)
        drawn = draws.once(windows, 2) if self.draw == "per_batch" else draws.uniform(windows, 2)
        inserted, skipped = pairs[(drawn[:, 0] * len(pairs)).long()].unbind(1)
        last_start = (length - 1) * (inserted + 1) + 1 - length * (skipped + 1)
        start = (drawn[:, 1] * (last_start + 1)).long()
        return resample(windows, inserted, skipped, start)


class CropResize(BaseAugmentation):
    """A piece of the window, stretched to the length of the window by linear interpolation.

    Defaults follow CMC-CMKM (arXiv 2205.10071), whose published training interpolates with sines.

    Attributes:
        low: Smallest length of the piece, as a share of the window; lengths and starts are uniform.
        high: Largest length.
    """

    name: Literal["crop_resize"] = "crop_resize"
    low: float = Field(default=0.8, gt=0, le=1)
    high: float = Field(default=0.9, gt=0, le=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> CropResize:
        if self.low > self.high:
            raise ValueError(f"'low' is {self.low}, above 'high', {self.high}; exchange them")
        return self

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        # Half precision cannot tell the samples of long windows apart.
        drawn = draws.uniform(windows, 2, 1).to(torch.promote_types(windows.dtype, torch.float32))
        share, where = self.low + (self.high - self.low) * drawn[:, 0], drawn[:, 1]
        steps = torch.arange(windows.shape[1], device=windows.device, dtype=drawn.dtype)
        return interpolate(windows, where * (1 - share) * (windows.shape[1] - 1) + share * steps)


def resample(windows: Tensor, inserted: Tensor, skipped: Tensor, start: Tensor) -> Tensor:
    """Resample ``windows`` (batch, time, channels) with M = ``inserted``, N = ``skipped`` from a given start.

    Each is (batch,), or (1,) for the whole batch.
    """
    samples = torch.arange(windows.shape[1], device=windows.device)
    fine = start[:, None] + samples * (skipped[:, None] + 1)
    return interpolate(windows, fine.to(windows.dtype) / (inserted[:, None] + 1))


def interpolate(windows: Tensor, positions: Tensor) -> Tensor:
    """Return ``windows`` (batch, time, channels) at fractional samples ``positions`` (batch or 1, time)."""
    before = positions.floor()
    weight = (positions - before).unsqueeze(-1).to(windows.dtype)
    first = before.long().clamp(min=0, max=windows.shape[1] - 1)
    second = (first + 1).clamp(max=windows.shape[1] - 1)
    return torch.lerp(_at_samples(windows, first), _at_samples(windows, second), weight)


def _at_samples(windows: Tensor, samples: Tensor) -> Tensor:
    """Return ``windows`` (batch, time, channels) at whole ``samples`` (batch or 1, time)."""
    if len(samples) == 1:
        return windows.index_select(1, samples[0])
    batch, time, channels = windows.shape
    rows = samples + time * torch.arange(batch, device=windows.device).unsqueeze(1)
    return windows.reshape(batch * time, channels).index_select(0, rows.flatten()).view(batch, -1, channels)


@cache
def _spline_basis(knots: int, time: int) -> tuple[tuple[float, ...], ...]:
    """Return the basis functions (knots, time) of cubic splines through equally spaced knots."""
    from scipy.interpolate import CubicSpline

    knot_times = np.linspace(0, time - 1, knots)
    basis: np.ndarray = CubicSpline(knot_times, np.eye(knots))(np.arange(time)).T
    return tuple(map(tuple, basis.tolist()))
