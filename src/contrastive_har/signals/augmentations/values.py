"""Augmentations of the values of a window: noise, scaling, rotation, negation, channel shuffle."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from contrastive_har.signals.augmentations.base import BaseAugmentation, Draws, constant
from contrastive_har.signals.sensors import Layout

_MOST_NUMBERED = 20  # things whose orders can be numbered in 64 bits


class Noise(BaseAugmentation):
    """Gaussian noise added to every sample.

    Attributes:
        deviation: Its standard deviation, in the units of the windows (z-scores in pre-training).
    """

    name: Literal["noise"] = "noise"
    deviation: float = Field(default=0.05, gt=0)

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        return windows + self.deviation * draws.normal(windows, *windows.shape[1:])


class Scaling(BaseAugmentation):
    """A factor for each channel, as if its sensor had another gain.

    Attributes:
        deviation: Standard deviation of the factors around one.
        per: ``channel``: one factor per channel; ``element``: one per sample and channel, which is noise in proportion
            to the values (CMC-CMKM, arXiv 2205.10071).
    """

    name: Literal["scaling"] = "scaling"
    deviation: float = Field(default=0.1, gt=0)
    per: Literal["channel", "element"] = "channel"

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        samples = 1 if self.per == "channel" else windows.shape[1]
        return windows * (1 + self.deviation * draws.normal(windows, samples, windows.shape[2]))


class Rotation(BaseAugmentation):
    """A rotation of each sensor's three axes, as if it were worn in another orientation.

    Each sensor is rotated about its own random axis; channels without a sensor are not changed.

    Attributes:
        degrees: Largest angle; angles are uniform between its negative and itself.
    """

    name: Literal["rotation"] = "rotation"
    degrees: float = Field(default=180.0, gt=0, le=180)

    def problem(self, layout: Layout) -> str | None:
        """Return why the channels cannot be rotated; None if they can."""
        if not layout.sensors:
            return (
                "rotation needs sensors of three axes, but no channel belongs to a sensor; name the channels "
                "<sensor>_x, <sensor>_y and <sensor>_z, declare their sensors, or choose another augmentation for this "
                "data set"
            )
        for sensor, axes in layout.sensors.items():
            if len(axes) != 3:
                return (
                    f"rotation needs sensors of three axes, but sensor '{sensor}' has {len(axes)}; choose another "
                    "augmentation for this data set"
                )
        return None

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        batch, time, channels = windows.shape
        sensors = len(layout.sensors)
        axis = torch.nn.functional.normalize(2 * draws.uniform(windows, sensors, 3) - 1, dim=-1)
        angle = (2 * draws.uniform(windows, sensors, 1, 1) - 1) * math.radians(self.degrees)
        # Rodrigues' formula: R = I + sin(angle) K + (1 - cos(angle)) K K, with K v = axis x v.
        cross = torch.linalg.cross(
            torch.eye(3, device=windows.device, dtype=windows.dtype).expand(batch, sensors, 3, 3),
            axis.unsqueeze(2).expand(batch, sensors, 3, 3),
        )
        turn = torch.eye(3, device=windows.device, dtype=windows.dtype) + angle.sin() * cross
        turn = turn + (1 - angle.cos()) * (cross @ cross)
        order = [index for axes in layout.sensors.values() for index in axes]
        in_order = order == list(range(channels))  # no channels need to be gathered
        sensor_axes = (windows if in_order else windows[..., order]).reshape(batch, time, sensors, 3)
        turned: Tensor = (
            (sensor_axes.permute(0, 2, 1, 3) @ turn.mT).permute(0, 2, 1, 3).reshape(batch, time, 3 * sensors)
        )
        if in_order:
            return turned
        changed = windows.clone()
        changed[..., order] = turned
        return changed


class Negation(BaseAugmentation):
    """The window with its signs inverted.

    Attributes:
        per: ``window``: all signs; ``element``: the sign of each sample of each channel with probability 1/2
            (CMC-CMKM, arXiv 2205.10071).
    """

    name: Literal["negation"] = "negation"
    per: Literal["window", "element"] = "window"

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        if self.per == "window":
            return -windows
        return torch.where(draws.uniform(windows, *windows.shape[1:]) < 0.5, -windows, windows)


class ChannelShuffle(BaseAugmentation):
    """The channels in a random order other than the original one.

    Attributes:
        of: ``channels``; or ``sensors``, whose channels stay together and in order.
    """

    name: Literal["channel_shuffle"] = "channel_shuffle"
    of: Literal["channels", "sensors"] = "channels"

    def problem(self, layout: Layout) -> str | None:
        """Return why the channels or sensors cannot be reordered; None if they can."""
        if self.of == "channels" and layout.width < 2:
            return "channel_shuffle needs two channels or more; choose another augmentation"
        widths = [len(axes) for axes in layout.sensors.values()]
        if self.of == "sensors" and (len(widths) < 2 or len(set(widths)) > 1):
            return (
                "channel_shuffle of sensors needs two sensors or more with as many axes each; set its 'of' to channels "
                "or choose another augmentation"
            )
        return None

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        if self.of == "channels":
            order = _another_order(windows, draws, windows.shape[2])
        else:
            axes = constant(tuple(map(tuple, layout.sensors.values())), windows.device)
            order = torch.arange(windows.shape[2], device=windows.device).repeat(len(windows), 1)
            order[:, axes.flatten()] = axes[_another_order(windows, draws, len(axes))].flatten(1)
        return windows.gather(2, order.unsqueeze(1).expand_as(windows))


def _another_order(windows: Tensor, draws: Draws, count: int) -> Tensor:
    """Draw an order (batch, count) of ``count`` things for each window, other than the original one."""
    if count > _MOST_NUMBERED:
        # Drawn by sorting random numbers: the original order has a probability of at most 1 / 21!.
        return draws.uniform(windows, count).argsort(dim=1)
    return _numbered_order(draws.integers(windows, 1, math.factorial(count)), count)


def _numbered_order(number: Tensor, count: int) -> Tensor:
    """Return the orders (batch, count) of given numbers (batch,); number 0 is the original one.

    The digits of a number in the factorial number system select the next of the remaining things.
    """
    unused = torch.arange(count, device=number.device).expand(len(number), count)
    chosen = []
    for remaining in range(count, 1, -1):
        size = math.factorial(remaining - 1)
        digit = (number // size).unsqueeze(1)
        number = number % size
        chosen.append(unused.gather(1, digit))
        rest = torch.arange(unused.shape[1] - 1, device=number.device).expand(len(number), -1)
        unused = unused.gather(1, rest + (rest >= digit))
    return torch.cat([*chosen, unused], dim=1)
