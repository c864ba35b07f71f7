"""``dataset.yml``: what users' recordings have in common, and how their files are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import available_timezones

import yaml
from pydantic import Field, PositiveFloat, field_validator, model_validator

from contrastive_har.signals.units import find_unit
from contrastive_har.strict import StrictModel

DESCRIPTION_FILE = "dataset.yml"

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "d": 86400.0}
"""Units of time stamps in seconds; spreadsheets count days."""

_FIELD = re.compile(r"\{(\w+)\}")


class Timestamp(StrictModel):
    """Where a file has its time stamps, and how they are written.

    Attributes:
        column: Name of the column.
        unit: Unit of numbers, or its seconds, such as 0.01; null for seconds, which are refused if the declared rate
            contradicts them.
        format: Of dates and times that are not ISO 8601, such as ``%d.%m.%Y %H:%M:%S.%f``.
        timezone: Of local times, such as ``Europe/Berlin``; needed only where a recording spans a change of the clocks.
        batches: What to do with rows that share a time stamp or follow one another much faster than the sampling rate:
            ``spread`` spreads them evenly until the next batch; null refuses files where they are the rule.
    """

    column: str = "timestamp"
    unit: Literal["s", "ms", "us", "ns", "min", "d"] | PositiveFloat | None = None
    format: str | None = None
    timezone: str | None = None
    batches: Literal["spread"] | None = None

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in available_timezones():
            raise ValueError(f"unknown time zone '{name}'; use a name such as Europe/Berlin")
        return name

    @property
    def scale(self) -> float:
        """Seconds of the unit."""
        return self.unit if isinstance(self.unit, float) else TIME_UNITS[self.unit or "s"]

    def written(self, **further: Any) -> str:
        """Return what to write in ``dataset.yml``: what is declared, and something further."""
        declared = self.model_dump(exclude_none=True) | further
        return "timestamp: {" + ", ".join(f"{key}: {_shown(value)}" for key, value in declared.items()) + "}"


class FileLayout(StrictModel):
    """How one kind of file is written.

    Attributes:
        pattern: Which files are of this kind, by their path in the folder: ``*`` stands for anything but ``/``, ``**``
            for anything, ``{subject}``, ``{recording}``, ``{activity}`` or a group in braces for a part of the name,
            which is its value. ``.gz`` at the end is left out.
        delimiter: Between columns; null takes ``,``, and a tab for ``.tsv``.
        decimal: Decimal mark.
        encoding: Of the text; null takes UTF-8, and UTF-16 or UTF-8 with a byte order mark.
        skip_lines: Lines before the header.
        line_end: What stands at the end of each row but is not part of it, such as ``;``.
        header: Names of the columns of files without a header.
        columns: Column of the file by the name it has here: ``{acc_x: "Accel X", subject: User}``.
        values: Values of what the file has no column for: ``{subject: anna}``.
        units: Units in the file, by channel or sensor, of samples to be converted to the unit of the channel.
        timestamp: Time stamps; a text is the name of their column.
    """

    pattern: str = "**"
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    encoding: str | None = None
    skip_lines: int = Field(default=0, ge=0, le=1000)
    line_end: str = ""
    header: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, str] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    timestamp: Timestamp = Timestamp()

    @field_validator("timestamp", mode="before")
    @classmethod
    def _take_a_name(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("values", "columns", mode="before")
    @classmethod
    def _take_numbers(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if empty := [key for key, one in value.items() if one is None]:
            raise ValueError(f"'{empty[0]}' has no value")
        return {key: str(one) for key, one in value.items()}

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                "".encode(name)
            except LookupError:
                raise ValueError(f"unknown encoding '{name}'; use a name such as utf-16 or latin-1") from None
        return name

    @field_validator("units")
    @classmethod
    def _are_known(cls, units: dict[str, str]) -> dict[str, str]:
        if unknown := [unit for unit in units.values() if find_unit(unit) is None]:
            raise ValueError(
                f"unknown unit '{unknown[0]}'; known are g, m/s², mg, rad/s, deg/s, mdps, uT, mT, T, gauss"
            )
        return units

    @property
    def regex(self) -> re.Pattern[str]:
        """The pattern as a regular expression of the whole path."""
        text = re.escape(self.pattern)
        text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        seen: set[str] = set()

        def field(match: re.Match[str]) -> str:
            name = match[1]
            again = name in seen
            seen.add(name)
            return f"(?P={name})" if again else f"(?P<{name}>[^/]+?)"

        return re.compile(re.sub(r"\\\{(\w+)\\\}", field, text))

    @property
    def fields(self) -> list[str]:
        """Names in braces of the pattern."""
        return list(dict.fromkeys(_FIELD.findall(self.pattern)))


class Intervals(FileLayout):
    """Files that say from when to when which activity was done.

    Their columns are ``start`` and ``activity``, optionally ``end`` or ``duration`` (otherwise until the next interval
    or the end of the recording), ``recording`` and ``subject``. Times are written as those of the recordings, unless
    ``timestamp`` says otherwise; with ``relative`` they count from the first sample.
    """

    relative: bool = False


class Reading(FileLayout):
    """How the files of a folder are read; the keys of a file's layout hold for all files that do not say otherwise.

    Attributes:
        files: Kinds of files, of which the first whose pattern suits a file holds for it. Kinds with different channels
            are the sensors of one recording: files with the same ``{recording}``, else in the same folder, are joined.
        intervals: Files with the activities, if recordings have no column for them.
        longest_gap: Seconds without samples that are interpolated; a longer gap divides the recording.
        gaps: ``split`` divides recordings at longer gaps; ``reject`` leaves such recordings out.
        synonyms: Activities by other names for them: ``{WALKING: walk, jog: run}``.
        unlabelled: Names for samples without an activity, beside an empty cell and -1.
        left_out: Names for samples that are not used at all.
        subjects: Names of subjects by other names for them; also says that similar names are different people.
        limits: Least and greatest possible sample by channel or sensor, in the channel's unit; others are left out.
        ignored: Columns that look like needed ones but are not.
        check_units: Whether samples are compared with what their units suggest.
    """

    files: tuple[FileLayout, ...] = ()
    intervals: Intervals | None = None
    longest_gap: float = Field(default=0.25, gt=0, allow_inf_nan=False)
    gaps: Literal["split", "reject"] = "split"
    synonyms: dict[str, str] = Field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    subjects: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    check_units: bool = True

    @model_validator(mode="before")
    @classmethod
    def _pass_on(cls, values: Any) -> Any:
        """Give each kind of file the keys that it does not have itself."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        common = {key: values[key] for key in FileLayout.model_fields if key in values and key != "pattern"}
        for key in ("files", "intervals"):
            entry = values.get(key)
            if isinstance(entry, list):
                values[key] = [_joined(common, one) for one in entry]
            elif isinstance(entry, dict):
                # Columns, values and units of recordings are not those of files of intervals.
                written = {k: v for k, v in common.items() if k not in ("columns", "values", "units")}
                values[key] = _joined(written, entry)
        return values

    @field_validator("synonyms", "subjects", mode="before")
    @classmethod
    def _take_any_names(cls, value: Any) -> Any:
        return {_name(key): _name(one) for key, one in value.items()} if isinstance(value, dict) else value

    @field_validator("unlabelled", "left_out", mode="before")
    @classmethod
    def _take_null(cls, value: Any) -> Any:
        """Take ``null`` and numbers, which YAML makes of some names, as the names they are in files."""
        return tuple(_name(one) for one in value) if isinstance(value, list | tuple) else value

    @field_validator("limits")
    @classmethod
    def _are_in_order(cls, limits: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        if wrong := [name for name, (low, high) in limits.items() if not low < high]:
            raise ValueError(f"the limits of '{wrong[0]}' are not in order: write [least, greatest]")
        return limits

    @property
    def layouts(self) -> tuple[FileLayout, ...]:
        """The kinds of files."""
        return self.files or (self,)


def _joined(common: Mapping[str, Any], entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    joined = {**common, **entry}
    for key in ("columns", "values", "units"):  # entries add to those that all files have
        if isinstance(common.get(key), dict) and isinstance(entry.get(key), dict):
            joined[key] = {**common[key], **entry[key]}
    if isinstance(common.get("timestamp"), dict) and isinstance(entry.get("timestamp"), dict):
        joined["timestamp"] = {**common["timestamp"], **entry["timestamp"]}
        if "unit" in entry["timestamp"] and "format" not in entry["timestamp"]:
            joined["timestamp"].pop("format", None)  # numbers have a unit, dates a format
    return joined


def _name(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(name: str) -> str:
    """Return a name as YAML reads it as a text: in quotes where it would be a number or something else."""
    try:
        is_plain = bool(yaml.safe_load(f"{{{name}: 0}}") == {name: 0} and yaml.safe_load(f"[{name}]") == [name])
    except yaml.YAMLError:
        is_plain = False
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _shown(value: str | float) -> str:
    return quoted(value) if isinstance(value, str) else f"{value:.6g}"
