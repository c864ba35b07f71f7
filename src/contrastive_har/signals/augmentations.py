"""Augmentations: vectorised tensor operations that turn windows (batch, time, channels) into views of the same shape.

Each augmentation is its own settings, so that configuration, documentation and code name the same thing once. Unless
said otherwise, defaults follow Tang et al. 2020 (arXiv 2011.11542), who build on Um et al. 2017 (arXiv 1706.00527), and
randomness is drawn for each window, from a generator on the windows' device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Union

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor


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


class _Augmentation(BaseModel, ABC):
    """What all augmentations share.

    Attributes:
        probability: Share of windows that are changed; the others stay as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    probability: float = Field(default=1.0, gt=0, le=1)

    def __call__(self, windows: Tensor, draws: Draws) -> Tensor:
        """Return views (batch, time, channels) of ``windows``.

        Args:
            windows: (batch, time, channels).
            draws: Random numbers on the same device.

        Raises:
            ValueError: if the augmentation can't work on windows of this shape.
        """
        if problem := self.problem(windows.shape[2]):
            raise ValueError(problem)
        changed = self._change(windows, draws)
        if self.probability == 1:
            return changed
        chosen = draws.uniform(windows, 1, 1) < self.probability
        return torch.where(chosen, changed, windows)

    def problem(self, channels: int) -> str | None:
        """Return why windows of so many channels can't be augmented, and the cure; nothing if they can."""
        return None

    @abstractmethod
    def _change(self, windows: Tensor, draws: Draws) -> Tensor: ...


class Noise(_Augmentation):
    """Gaussian noise added to every sample.

    Attributes:
        deviation: Its standard deviation, in the units of the windows (z-scores in pre-training).
    """

    name: Literal["noise"] = "noise"
    deviation: float = Field(default=0.05, gt=0)

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        return windows + self.deviation * draws.normal(windows, *windows.shape[1:])


class Scaling(_Augmentation):
    """A factor for each channel, as if its sensor had another gain.

    Attributes:
        deviation: Standard deviation of the factors around one.
    """

    name: Literal["scaling"] = "scaling"
    deviation: float = Field(default=0.1, gt=0)

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        return windows * (1 + self.deviation * draws.normal(windows, 1, windows.shape[2]))


class Rotation(_Augmentation):
    """A rotation of each sensor's three axes, as if it were worn another way.

    Channels are taken three by three, in their order; each three turn about an axis of their own.

    Attributes:
        degrees: Largest angle; angles are uniform between its negative and itself.
    """

    name: Literal["rotation"] = "rotation"
    degrees: float = Field(default=180.0, gt=0, le=180)

    def problem(self, channels: int) -> str | None:
        """Return why the channels are not sensors of three axes, if so."""
        if channels % 3 == 0:
            return None
        return (
            f"rotation needs sensors of three axes each, but windows have {channels} channels; "
            "choose another augmentation for this data set"
        )

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        batch, time, channels = windows.shape
        sensors = channels // 3
        axis = torch.nn.functional.normalize(2 * draws.uniform(windows, sensors, 3) - 1, dim=-1)
        angle = (2 * draws.uniform(windows, sensors, 1, 1) - 1) * math.radians(self.degrees)
        # Rodrigues' formula: R = I + sin(angle) K + (1 - cos(angle)) K K, with K v = axis x v.
        cross = torch.linalg.cross(
            torch.eye(3, device=windows.device, dtype=windows.dtype).expand(batch, sensors, 3, 3),
            axis.unsqueeze(2).expand(batch, sensors, 3, 3),
        )
        turn = torch.eye(3, device=windows.device, dtype=windows.dtype) + angle.sin() * cross
        turn = turn + (1 - angle.cos()) * (cross @ cross)
        sensor_axes = windows.view(batch, time, sensors, 3).permute(0, 2, 1, 3)
        turned: Tensor = sensor_axes @ turn.mT
        return turned.permute(0, 2, 1, 3).reshape(batch, time, channels)


class Negation(_Augmentation):
    """Every sign turned."""

    name: Literal["negation"] = "negation"

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        return -windows


class TimeReversal(_Augmentation):
    """The movement backwards."""

    name: Literal["time_reversal"] = "time_reversal"

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        return windows.flip(1)


class Permutation(_Augmentation):
    """The window cut at random places and its pieces put together in another order.

    Attributes:
        cuts: Number of cuts; some may fall together.
    """

    name: Literal["permutation"] = "permutation"
    cuts: int = Field(default=4, gt=0)

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        time = windows.shape[1]
        cuts = (draws.uniform(windows, self.cuts) * time).long().sort(dim=1).values
        samples = torch.arange(time, device=windows.device).expand(len(windows), time).contiguous()
        piece = torch.searchsorted(cuts, samples, right=True)
        place = draws.uniform(windows, self.cuts + 1).argsort(dim=1)  # of each piece in the new order
        order = (place.gather(1, piece) * time + samples).argsort(dim=1)
        return _at_samples(windows, order)


class TimeWarp(_Augmentation):
    """Time running now faster, now slower, along a smooth random curve; start and end stay.

    Attributes:
        knots: Points between start and end at which the speed is drawn; a cubic spline connects them.
        deviation: Standard deviation of the speeds around one.
    """

    name: Literal["time_warp"] = "time_warp"
    knots: int = Field(default=4, gt=0)
    deviation: float = Field(default=0.2, gt=0)

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        time = windows.shape[1]
        drawn = 1 + self.deviation * draws.normal(windows, self.knots + 2)
        speeds = drawn @ torch.from_numpy(_spline_basis(self.knots + 2, time)).to(drawn)
        # A speed near or below zero would make time stand still or run back.
        clock = speeds.clamp(min=0.05).cumsum(1)
        clock = (clock - clock[:, :1]) / (clock[:, -1:] - clock[:, :1])
        return interpolate(windows, clock * (time - 1))


class ChannelShuffle(_Augmentation):
    """The channels in any other order than their own."""

    name: Literal["channel_shuffle"] = "channel_shuffle"

    def problem(self, channels: int) -> str | None:
        """Return that there is no other order, if so."""
        return None if channels > 1 else "channel_shuffle needs two channels or more; choose another augmentation"

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        channels = windows.shape[2]
        # Every order has a number; number 0 is the original one. Its digits in the factorial number system say which
        # of the channels still left comes next.
        orders = math.factorial(min(channels, 20))
        number = draws.integers(windows, 1, orders)
        left = torch.arange(channels, device=windows.device).expand(len(windows), channels)
        chosen = []
        for remaining in range(min(channels, 20), 1, -1):
            size = math.factorial(remaining - 1)
            digit = (number // size).unsqueeze(1)
            number = number % size
            chosen.append(left.gather(1, digit))
            places = torch.arange(left.shape[1] - 1, device=windows.device).expand(len(windows), -1)
            left = left.gather(1, places + (places >= digit))
        order = torch.cat([*chosen, left], dim=1)
        return windows.gather(2, order.unsqueeze(1).expand_as(windows))


class Resampling(_Augmentation):
    """Resampling: the same movement, slower.

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

    def _change(self, windows: Tensor, draws: Draws) -> Tensor:
        length = windows.shape[1]
        pairs = torch.tensor(self.inserted_and_skipped, device=windows.device)
        drawn = draws.once(windows, 2) if self.draw == "per_batch" else draws.uniform(windows, 2)
        inserted, skipped = pairs[(drawn[:, 0] * len(pairs)).long()].unbind(1)
        last_start = (length - 1) * (inserted + 1) + 1 - length * (skipped + 1)
        start = (drawn[:, 1] * (last_start + 1)).long()
        return resample(windows, inserted, skipped, start)


def resample(windows: Tensor, inserted: Tensor, skipped: Tensor, start: Tensor) -> Tensor:
    """Resample ``windows`` (batch, time, channels) with M = ``inserted``, N = ``skipped`` from a given start.

    Each is (batch,), or (1,) where one serves all.
    """
    samples = torch.arange(windows.shape[1], device=windows.device)
    fine = start[:, None] + samples * (skipped[:, None] + 1)
    return interpolate(windows, fine.to(windows.dtype) / (inserted[:, None] + 1))


def interpolate(windows: Tensor, positions: Tensor) -> Tensor:
    """Return ``windows`` (batch, time, channels) at fractional samples ``positions`` (batch or 1, time)."""
    before = positions.floor()
    weight = (positions - before).unsqueeze(-1)
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
def _spline_basis(knots: int, time: int) -> np.ndarray:
    """Return what each of equally spaced knots adds to a cubic spline, (knots, time): splines are linear in them."""
    from scipy.interpolate import CubicSpline

    places = np.linspace(0, time - 1, knots)
    basis: np.ndarray = CubicSpline(places, np.eye(knots))(np.arange(time)).T
    return np.ascontiguousarray(basis)


ALL_AUGMENTATIONS: tuple[_Augmentation, ...] = (
    Noise(),
    Scaling(),
    Rotation(),
    Negation(),
    TimeReversal(),
    Permutation(),
    TimeWarp(),
    ChannelShuffle(),
    Resampling(),
)
"""Each augmentation with its defaults."""

if TYPE_CHECKING:
    Augmentation = _Augmentation
else:
    Augmentation = Annotated[Union[tuple(map(type, ALL_AUGMENTATIONS))], Field(discriminator="name")]  # noqa: UP007
"""Any augmentation, chosen by its ``name`` in configuration."""

View = tuple[Augmentation, ...]
"""Augmentations applied one after the other; none gives the raw window."""


def first_problem(augmentations: Iterable[Augmentation], channels: int) -> str | None:
    """Return why windows of so many channels can't go through one of ``augmentations``; nothing if they can."""
    return next(filter(None, (augment.problem(channels) for augment in augmentations)), None)


def make_view(windows: Tensor, view: View, draws: Draws) -> Tensor:
    """Return ``windows`` (batch, time, channels) after every augmentation of ``view``."""
    for augment in view:
        windows = augment(windows, draws)
    return windows
