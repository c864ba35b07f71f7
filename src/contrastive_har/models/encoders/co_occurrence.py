"""The two-stream hierarchical co-occurrence network for skeletons (Li et al. 2018, arXiv 1804.06055).

In the shape used for multimodal contrast with UTD-MHAD and MMAct: no padding, one person, the streams joined along the
height, and no fully connected layer. The second, third and fourth convolution have batch normalisation but no ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.layers.differences import differences

Width = Annotated[int, Field(gt=0)]

_KERNEL, _POOL = 3, 2


class CoOccurrenceSettings(BaseEncoderSettings):
    """The encoder's shape; the defaults are the published ones.

    Attributes:
        channels: Filters of the six convolutions; those of the second become the height of an image whose channels
            are the joints, so that they are at least 26.
    """

    name: Literal["co_occurrence"] = "co_occurrence"
    channels: tuple[Width, Width, Width, Width, Width, Width] = (64, 32, 32, 64, 128, 256)

    @model_validator(mode="after")
    def _leaves_a_height(self) -> CoOccurrenceSettings:
        if _last_height(self.channels[1]) < 1:
            raise ValueError(f"the second of channels {self.channels} must be at least 26: it becomes a height")
        return self

    @property
    def shortest_window(self) -> int:
        """Fewest samples of which the convolutions and poolings leave one."""
        needed = 1
        for _ in range(4):
            needed = _POOL * needed + _KERNEL - 1
        return needed + _KERNEL - 1

    @property
    def depth(self) -> int:
        """Number of stages."""
        return 4

    def problem(self, sensor_channels: int, sensors: Sensors) -> str | None:
        """Return why the channels are not two or three coordinates of each joint; None if they are."""
        cure = "declare each joint as a sensor of 2 or 3 channels, or choose another encoder for this modality"
        if not sensors:
            return f"needs the joints of a skeleton, but no channel belongs to a sensor; {cure}"
        widths = {len(axes) for axes in sensors}
        if widths not in ({2}, {3}):
            return f"needs 2 or 3 coordinates of every joint, but the sensors have {sorted(widths)} channels; {cure}"
        if left_out := sorted(set(range(sensor_channels)) - set(chain.from_iterable(sensors))):
            return f"needs a joint for every channel, but channels {left_out} belong to no sensor; {cure}"
        return None

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> CoOccurrence:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``).

        Args:
            sensor_channels: Channels of a window.
            length: Samples of a window.
            sensors: The channel indices of each joint.

        Raises:
            ValueError: if the channels are not two or three coordinates of each joint.
        """
        if problem := self.problem(sensor_channels, sensors):
            raise ValueError(f"co_occurrence {problem}.")
        return CoOccurrence(sensors, length, self)


class CoOccurrence(Encoder):
    """A stream of positions and one of their differences, each over time and then over joints; then both together.

    Args:
        sensors: The channel indices of each joint.
        length: Samples of a window.
        settings: Shape of the encoder.
    """

    order: Tensor

    def __init__(self, sensors: Sensors, length: int, settings: CoOccurrenceSettings) -> None:
        super().__init__()
        points, local, wide, deep, joined, last = settings.channels
        self.joints, self.coordinates = len(sensors), len(sensors[0])
        self.shortest_window = settings.shortest_window
        self.features = last * _last_height(local) * _last_time(length)
        self.over_time = nn.ModuleList(_over_time(self.coordinates, points, local) for _ in range(2))
        self.over_joints = nn.ModuleList(_over_joints(self.joints, wide, deep) for _ in range(2))
        self.together = nn.ModuleList([_together(deep, joined), _together(joined, last)])
        # On the CPU also if the encoder is built on the meta device, for its shapes only.
        order = torch.tensor(list(chain.from_iterable(sensors)), device="cpu")
        self.register_buffer("order", order, persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Of both streams, the convolutions over time and those over joints; then each of the last two."""
        return [self.over_time, self.over_joints, *self.together]

    def enter(self, windows: Tensor) -> Tensor:
        """Return positions and differences of ``windows`` (batch, time, channels).

        Their shape is (batch, 2, coordinates, time, joints).
        """
        positions = windows[..., self.order]
        streams = torch.stack([positions, differences(positions)], dim=1)
        points: Tensor = streams.unflatten(3, (self.joints, self.coordinates))
        return points.permute(0, 1, 4, 2, 3)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one also flattens."""
        for stage in range(first, end):
            if stage > 1:
                activations = self.together[stage - 2](activations)
                continue
            streams = (self.over_time, self.over_joints)[stage]
            parts = [stream(part) for stream, part in zip(streams, activations.unbind(1), strict=True)]
            if stage == 0:
                # (batch, filters, time, joints) to (batch, joints, filters, time): a filter now sees all joints.
                activations = torch.stack([part.permute(0, 3, 1, 2) for part in parts], dim=1)
            else:
                activations = torch.cat(parts, dim=2)
        return activations.flatten(1) if end == self.depth else activations


def _over_time(coordinates: int, points: int, local: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(coordinates, points, 1),
        nn.BatchNorm2d(points),
        nn.ReLU(inplace=True),
        nn.Conv2d(points, local, (_KERNEL, 1)),
        nn.BatchNorm2d(local),
    )


def _over_joints(joints: int, wide: int, deep: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(joints, wide, _KERNEL),
        nn.BatchNorm2d(wide),
        nn.MaxPool2d(_POOL),
        nn.Conv2d(wide, deep, _KERNEL),
        nn.BatchNorm2d(deep),
        nn.MaxPool2d(_POOL),
    )


def _together(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, _KERNEL), nn.BatchNorm2d(after), nn.ReLU(inplace=True), nn.MaxPool2d(_POOL)
    )


def _pooled(size: int) -> int:
    """Return what a convolution and pooling leave of a height or a time."""
    return max(0, size - _KERNEL + 1) // _POOL


def _last_height(local: int) -> int:
    return _pooled(_pooled(2 * _pooled(_pooled(local))))


def _last_time(length: int) -> int:
    return _pooled(_pooled(_pooled(_pooled(length - _KERNEL + 1))))
