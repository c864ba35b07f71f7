"""Descriptions of data sets: what all recordings of a data set have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator

from contrastive_har.files.fingerprints import TEXTS
from contrastive_har.signals.sensors import (
    AND,
    Channel,
    Layout,
    channels_from_modalities,
    indices_by_sensor,
    regrouped,
    slices_by_modality,
)
from contrastive_har.signals.skeletons import Skeleton
from contrastive_har.strict import StrictModel

UNLABELLED = -1
"""The activity code and the class index of unlabelled samples and windows."""

MEASUREMENT_COLUMNS = ("subject", "recording", "sample", "activity")
"""Columns of stored recordings beside groups and channels."""

ANSWER_COLUMNS = ("activity", "unfamiliar")
"""Columns of what a served model answers, beside the probabilities of the activities."""

_LONGEST_NAME = 100  # characters
# Also ends of lines, changes of the direction of writing, and halves of characters, which no file can hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_WINDOW_COLUMNS = ("window", "start", "end", "signal")  # of stored windows


def find_fault(name: str) -> str | None:
    """Return why something cannot have a name, which stands in tables, figures and names of metrics; else None."""
    if len(name) > _LONGEST_NAME:
        return f"has {len(name)} characters, more than {_LONGEST_NAME}"
    if _CONTROL.search(name):
        return "has control characters"
    return None if any(letter.isprintable() and not letter.isspace() for letter in name) else "is empty"


def _is_web_address(address: str) -> str:
    if address and not address.startswith(("https://", "http://")):
        raise ValueError(f"'{address[:_LONGEST_NAME]}' is no address that starts with https:// or http://")
    return address


WebAddress = Annotated[str, AfterValidator(_is_web_address)]
"""An address that reports can link to, or nothing."""


class DatasetDescription(StrictModel):
    """Description of a data set: what all its recordings have in common.

    Channels are given flat (``channels``) or grouped by modality and sensor
    (``modalities: {inertial: {accelerometer: {unit: g, channels: [acc_x, acc_y, acc_z]}}}``).

    Attributes:
        name: Short name, used in paths and tables.
        title: Full name.
        sampling_rate_hz: Samples per second.
        channels: Channels in the order of the columns; those of one modality are adjacent.
        activities: Names by activity code (codes are at least 0; -1 means unlabelled).
        recognised: Codes that the protocols classify; samples of other activities stay in the recordings only.
        skeletons: Skeletons by modality, of those modalities whose sensors are the joints of a body.
        groups: Names of the groups, beside ``subject``, that each recording belongs to, such as ``session``.
        licence: Terms of use.
        citation: Publication to cite.
        url: Address of the data set.
        download: Addresses of the archives of its files, if they can be downloaded without a request; one or several.
        checksums: Checksums of these archives by file name (``sha256:`` and 64 hexadecimal digits), where their
            publishers state them.
        request: What to ask the publisher for, if the files cannot be downloaded without a request.
        files: Number of official files; 0 if unknown.
    """

    name: str
    title: str
    sampling_rate_hz: float = Field(gt=0, allow_inf_nan=False)
    channels: tuple[Channel, ...] = Field(min_length=1)
    activities: dict[int, str] = Field(min_length=2)
    recognised: tuple[int, ...] = ()
    skeletons: dict[str, Skeleton] = Field(default_factory=dict)
    groups: tuple[str, ...] = ()
    licence: str = "not stated"
    citation: str = ""
    url: WebAddress = ""
    download: tuple[WebAddress, ...] = ()
    checksums: dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] = Field(default_factory=dict)
    request: str = ""
    files: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Expand ``modalities``; recognise all activities if none are chosen."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if "modalities" in values:
            if "channels" in values:
                raise ValueError("give either 'channels' or 'modalities'")
            modalities = values.pop("modalities")
            if not isinstance(modalities, dict):
                raise ValueError("'modalities' must be 'name: sensors' lines")
            values["channels"] = channels_from_modalities(modalities)
        if not values.get("recognised"):
            activities = values.get("activities")
            values["recognised"] = tuple(activities) if isinstance(activities, dict) else ()
        return values

    @field_validator("download", mode="before")
    @classmethod
    def _is_one_or_several(cls, value: Any) -> Any:
        if isinstance(value, str):
            return (value,) if value else ()
        return value

    @model_validator(mode="after")
    def _checksums_are_of_archives(self) -> DatasetDescription:
        names = {address.rsplit("/", 1)[1] for address in self.download}
        if unknown := sorted(set(self.checksums) - names):
            raise ValueError(f"'checksums' has {unknown}, which 'download' has not")
        return self

    @model_validator(mode="after")
    def _codes_are_consistent(self) -> DatasetDescription:
        if negative := [code for code in self.activities if code < 0]:
            raise ValueError(f"activity codes must be 0 or more (-1 means unlabelled); found {negative}")
        if unknown := set(self.recognised) - set(self.activities):
            raise ValueError(f"'recognised' lists codes {sorted(unknown)} that 'activities' does not name")
        if too_large := [code for code in self.activities if code > np.iinfo(np.int16).max]:
            raise ValueError(f"activity codes must be at most {np.iinfo(np.int16).max}; found {too_large}")
        if len(set(self.activities.values())) != len(self.activities):
            raise ValueError(f"activity names must differ; found {list(self.activities.values())}")
        return self

    @field_validator("activities")
    @classmethod
    def _activities_have_usable_names(cls, activities: dict[int, str]) -> dict[int, str]:
        for name in activities.values():
            if fault := find_fault(name):
                raise ValueError(f"the name of an activity {fault}: {name[:_LONGEST_NAME]!r}")
            if name in ANSWER_COLUMNS:
                raise ValueError(f"no activity can be named '{name}': a column of a served model's answers is")
        return activities

    @model_validator(mode="after")
    def _names_are_consistent(self) -> DatasetDescription:
        for name in (*self.channel_names, *self.groups, *slices_by_modality(self.channels)):
            if fault := find_fault(name):
                raise ValueError(f"the name of a channel, group or modality {fault}: {name[:_LONGEST_NAME]!r}")
        if len(set(self.channel_names)) != len(self.channels):
            raise ValueError(f"channel names must differ; found {self.channel_names}")
        if len(set(self.groups)) != len(self.groups):
            raise ValueError(f"group names must differ; found {list(self.groups)}")
        if reserved := {*self.channel_names, *self.groups} & {*MEASUREMENT_COLUMNS}:
            raise ValueError(f"no channel or group can be named {sorted(reserved)}: other columns are")
        if reserved := set(self.groups) & {*self.channel_names, *_WINDOW_COLUMNS, "none"}:
            raise ValueError(f"no group can be named {sorted(reserved)}: other columns are")
        if unusable := [name for name in slices_by_modality(self.channels) if "/" in name or AND in name]:
            raise ValueError(f"names of modalities cannot have '/' or '{AND}' in them; rename {unusable}")
        for sensor, indices in indices_by_sensor(self.channels).items():
            axes = [self.channels[index] for index in indices]
            if len({axis.modality for axis in axes}) > 1:
                raise ValueError(f"sensor '{sensor}' belongs to several modalities; name its parts differently")
            if len({axis.unit for axis in axes}) > 1:
                raise ValueError(
                    f"sensor '{sensor}' has axes in different units ({', '.join(axis.unit for axis in axes)}); correct "
                    "the units, or declare the channels' sensors"
                )
        return self

    @model_validator(mode="after")
    def _skeletons_have_their_joints(self) -> DatasetDescription:
        layout = self.layout(1)
        for modality, skeleton in self.skeletons.items():
            if modality not in layout.modalities:
                raise ValueError(
                    f"skeleton of an unknown modality '{modality}'; known are {', '.join(layout.modalities)}"
                )
            part, joints = layout.modalities[modality], layout.joints(modality)
            if sum(len(axes) for axes in joints.values()) != part.stop - part.start:
                raise ValueError(f"the skeleton of modality '{modality}' needs a sensor, its joint, for each channel")
            if problem := skeleton.problem(joints):
                raise ValueError(f"the skeleton of modality '{modality}' {problem}")
        return self

    @property
    def channel_names(self) -> list[str]:
        """Channel names in column order."""
        return [channel.name for channel in self.channels]

    @property
    def texts(self) -> dict[str, str]:
        """What only reports show of it."""
        return self.model_dump(include=set(TEXTS))

    @property
    def class_names(self) -> list[str]:
        """Names of the recognised activities, in the order of their class indices."""
        return [self.activities[code] for code in self.recognised]

    @property
    def class_count(self) -> int:
        """Number of recognised activities."""
        return len(self.recognised)

    def layout(self, length: int) -> Layout:
        """Return the layout of windows of ``length`` samples."""
        return Layout(length=length, channels=self.channels, skeletons=self.skeletons)

    def only(self, modalities: Iterable[str]) -> DatasetDescription:
        """Return the description of a data set with the channels of some modalities.

        Raises:
            ValueError: if there is no such modality.
        """
        layout = self.layout(1).only(modalities)
        return DatasetDescription.model_validate(
            {**dict(self), "channels": layout.channels, "skeletons": layout.skeletons}
        )

    def regrouped(self, modalities: Mapping[str, Sequence[str]]) -> DatasetDescription:
        """Return the description with channels grouped into other modalities, each of some sensors.

        Channels of sensors that are not named are left out. A modality that keeps its name and its channels keeps its
        skeleton.

        Args:
            modalities: Names of sensors, or of present modalities, by modality.

        Raises:
            ValueError: if there is no such sensor or modality, or one belongs to two modalities.
        """
        channels = regrouped(self.channels, modalities)

        def names(of: Iterable[Channel], modality: str) -> set[str]:
            return {channel.name for channel in of if channel.modality == modality}

        kept = {
            name: body for name, body in self.skeletons.items() if names(channels, name) == names(self.channels, name)
        }
        return DatasetDescription.model_validate({**dict(self), "channels": channels, "skeletons": kept})

    def recognising(self, activities: Sequence[str] | Literal["all"]) -> DatasetDescription:
        """Return the description with other recognised activities.

        Args:
            activities: Their names, in the order of their class indices; ``all`` for every activity.

        Raises:
            ValueError: if there is no such activity, or one is named twice.
        """
        codes = {name: code for code, name in self.activities.items()}
        names = list(codes) if activities == "all" else list(activities)
        if unknown := [name for name in names if name not in codes]:
            raise ValueError(f"unknown activities {unknown}; known are {', '.join(codes)}")
        if len(set(names)) != len(names):
            raise ValueError(f"an activity is named twice: {', '.join(names)}")
        return self.model_copy(update={"recognised": tuple(codes[name] for name in names)})
