"""Channels, the sensors and modalities they belong to, and the layout of a window."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from contrastive_har.signals.skeletons import Skeleton
from contrastive_har.strict import StrictModel

AND = "-and-"
"""What joins modalities in a name, and so cannot be in the name of one."""

DEFAULT_MODALITY = "inertial"
"""The modality of data sets that declare none."""

_AXIS = re.compile(r"(?:(?P<sensor>.+)[_.\- ])?[xyzXYZ]|(?P<camel>.*[a-z0-9])[XYZ]")


class Channel(StrictModel):
    """One column of samples.

    Attributes:
        name: Unique within a data set.
        unit: Unit of its samples.
        sensor: The sensor whose axis it is, if any. Channels named ``<sensor>_x``, ``_y`` and ``_z`` belong to that
            sensor unless they declare another.
        modality: The modality of that sensor, such as ``inertial`` or ``skeleton``.
    """

    name: str
    unit: str
    sensor: str | None = None
    modality: str = DEFAULT_MODALITY

    @model_validator(mode="before")
    @classmethod
    def _take_the_sensor_from_the_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "sensor" not in values and isinstance(values.get("name"), str):
            match = _AXIS.fullmatch(values["name"])
            return {**values, "sensor": (match["sensor"] or match["camel"] or "sensor") if match else None}
        return values


class Layout(StrictModel):
    """The shape of a window and its channels.

    Attributes:
        length: Samples in a window.
        channels: Channels in the order of the last dimension; those of one modality are adjacent.
        skeletons: Skeletons by modality, of those modalities that have one.
    """

    length: int = Field(gt=0)
    channels: tuple[Channel, ...] = Field(min_length=1)
    skeletons: dict[str, Skeleton] = Field(default_factory=dict)

    @classmethod
    def anonymous(cls, length: int, width: int) -> Layout:
        """Return the layout of windows with ``width`` channels without names, units and sensors."""
        names = [f"channel_{index}" for index in range(width)]
        return cls(length=length, channels=tuple(Channel(name=name, unit="", sensor=None) for name in names))

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def sensors(self) -> dict[str, tuple[int, ...]]:
        """Channel indices by sensor; channels without a sensor are left out."""
        return indices_by_sensor(self.channels)

    @property
    def modalities(self) -> dict[str, slice]:
        """Channels by modality."""
        return slices_by_modality(self.channels)

    def only(self, modalities: Iterable[str]) -> Layout:
        """Return the layout with the channels of some modalities.

        Raises:
            ValueError: if there is no such modality.
        """
        wanted = tuple(modalities)
        channels = channels_of(self.channels, wanted)
        skeletons = {name: skeleton for name, skeleton in self.skeletons.items() if name in wanted}
        return Layout(length=self.length, channels=channels, skeletons=skeletons)

    def joints(self, modality: str) -> dict[str, tuple[int, ...]]:
        """Return the channel indices of each sensor of a modality; of each joint, if it has a skeleton."""
        part = self.modalities[modality]
        return {name: axes for name, axes in self.sensors.items() if part.start <= axes[0] < part.stop}


def indices_by_sensor(channels: Iterable[Channel]) -> dict[str, tuple[int, ...]]:
    """Return channel indices by sensor; channels without a sensor are left out."""
    by_sensor: dict[str, list[int]] = {}
    for index, channel in enumerate(channels):
        if channel.sensor is not None:
            by_sensor.setdefault(channel.sensor, []).append(index)
    return {sensor: tuple(indices) for sensor, indices in by_sensor.items()}


def slices_by_modality(channels: Iterable[Channel]) -> dict[str, slice]:
    """Return the channels of each modality as a slice.

    Raises:
        ValueError: if the channels of a modality are not adjacent.
    """
    slices: dict[str, slice] = {}
    for index, channel in enumerate(channels):
        before = slices.get(channel.modality)
        if before is not None and before.stop != index:
            raise ValueError(
                f"channel '{channel.name}' is apart from the other channels of modality '{channel.modality}'; list the "
                "channels of a modality together"
            )
        slices[channel.modality] = slice(before.start if before else index, index + 1)
    return slices


def channels_of(channels: Iterable[Channel], modalities: Iterable[str]) -> tuple[Channel, ...]:
    """Return the channels of some modalities, in their order.

    Raises:
        ValueError: if there is no such modality, or none is wanted.
    """
    channels, wanted = tuple(channels), tuple(modalities)
    known = slices_by_modality(channels)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(f"{'unknown' if unknown else 'no'} modalities {unknown}; known are {', '.join(known)}")
    return tuple(channel for channel in channels if channel.modality in wanted)


def regrouped(channels: Iterable[Channel], modalities: Mapping[str, Sequence[str]]) -> tuple[Channel, ...]:
    """Return channels grouped into other modalities; those that are not named are left out.

    Args:
        channels: The channels.
        modalities: Names of sensors, or of present modalities, by modality.

    Raises:
        ValueError: if there is no such sensor or modality, or a channel belongs to two modalities.
    """
    channels = tuple(channels)
    present = {name: range(part.start, part.stop) for name, part in slices_by_modality(channels).items()}
    parts: dict[str, Sequence[int]] = {**present, **indices_by_sensor(channels)}
    grouped: dict[int, Channel] = {}
    for modality, names in modalities.items():
        for name in names:
            if name not in parts:
                raise ValueError(f"modality '{modality}' has an unknown sensor '{name}'; known are {', '.join(parts)}")
            for index in parts[name]:
                if index in grouped:
                    raise ValueError(f"sensor '{name}' belongs to '{grouped[index].modality}' and to '{modality}'")
                grouped[index] = channels[index].model_copy(update={"modality": modality})
    return tuple(grouped.values())


def channels_from_modalities(modalities: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Expand ``{modality: {sensor: {unit, channels: [name, ...]}}}`` into a flat list of channels.

    Raises:
        ValueError: if it has another form.
    """
    channels = []
    for modality, sensors in modalities.items():
        if not isinstance(sensors, Mapping):
            raise ValueError(f"modality '{modality}' must list its sensors, each with a unit and channels")  # noqa: TRY004
        for sensor, facts in sensors.items():
            if not isinstance(facts, Mapping) or set(facts) != {"unit", "channels"}:
                raise ValueError(f"sensor '{sensor}' must have a unit and channels, and nothing else")
            if not isinstance(facts["channels"], list | tuple):
                raise ValueError(f"sensor '{sensor}' must have a list of channels")  # noqa: TRY004
            channels += [
                {"name": name, "unit": facts["unit"], "sensor": sensor, "modality": modality}
                for name in facts["channels"]
            ]
    return channels
