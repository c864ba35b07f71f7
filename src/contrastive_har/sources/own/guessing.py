"""A description of recordings by what their files seem to hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml

from contrastive_har.signals.sensors import Channel, indices_by_sensor
from contrastive_har.signals.units import find_unit
from contrastive_har.sources.own.checks import FASTEST_TURN, length_at_rest, unit_of_gravity
from contrastive_har.sources.own.looking import FileFacts, begin_column, end_column
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.roles import looks_like
from contrastive_har.sources.own.settings import FileLayout, Timestamp

_UNLABELLED = ("null", "none", "nan", "unlabelled", "unlabeled", "unknown", "undefined", "other", "?", "-")
_UNIT = re.compile(r"[(\[]([^)\]]*)[)\]]")
_FEW = 100  # different labels, above which a column does not hold activities
_SHORT = 3  # letters of a sensor's name in the names of its channels
_SLOWEST, _FASTEST = 5.0, 1000.0  # rates of wearable sensors, in Hz


def guess_description(tables: Sequence[FileFacts], intervals: Sequence[FileFacts]) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a ``dataset.yml``, and remarks.

    Args:
        tables: Files with samples.
        intervals: Files that seem to say when activities begin.
    """
    rate, remarks = _rate(tables)
    sensors = _sensors(tables)
    content: dict[str, Any] = {"title": "My recordings", "sampling_rate_hz": rate}
    layouts, channels = [], []
    for of_kind in sensors or [_most_common(tables)]:
        layout, own = _layout(of_kind[0], is_sensor=bool(sensors))
        layouts.append(layout)
        channels += own
    content["channels"] = channels
    content["activities"], unlabelled = _activities(tables, intervals)
    if len(content["activities"]) < 2:
        remarks.append("Fewer than two activities were found: name those that the recordings have under 'activities'.")
        known = content["activities"]
        content["activities"] = {**known, max(known, default=-1) + 1: "another activity"}
        if len(content["activities"]) < 2:
            content["activities"] |= {1: "a second activity"}
    if unlabelled:
        content["unlabelled"] = unlabelled
    content |= {"files": layouts} if sensors else layouts[0]
    if intervals and "activity" not in tables[0].roles:
        content["intervals"] = _intervals(intervals[0])
    if not any("subject" in one.roles for one in tables):
        content["values"] = {"subject": "unknown"}
        remarks.append(
            "No column says who was recorded. Write the subject under 'values', or a pattern such as "
            "'{subject}/*.csv': "
            "a person whose recordings have several names is on both sides of every split."
        )
    if sensors:
        names = ", ".join(_stem(of_sensor[0]) for of_sensor in sensors)
        remarks.append(f"Files are taken for sensors of one recording: {names}. If they are not, remove 'files'.")
    else:
        remarks += _other_units(tables, channels)
        if len({tuple(one.numbers) for one in tables}) > 1:
            remarks.append("Files have different columns; those of most files are described. See the table above.")
    return content, remarks


def _rate(tables: Sequence[FileFacts]) -> tuple[float, list[str]]:
    """Return the most common rate; of two, the lower one, as what is resampled down was measured."""
    rates = sorted(one.rate for one in tables if one.rate is not None)
    if not rates:
        return 50, ["No time stamps were found: sampling_rate_hz is a guess."]
    remarks = []
    if not _SLOWEST <= rates[0] <= rates[-1] <= _FASTEST:
        remarks.append(
            f"{rates[0]:.4g} Hz is not a usual rate: correct 'unit' under 'timestamp', then sampling_rate_hz."
        )
    if rates[-1] > 1.1 * rates[0]:
        spread = f"from {rates[0]:.4g} to {rates[-1]:.4g} Hz"
        remarks.append(f"Rates differ, {spread}: files are resampled to sampling_rate_hz.")
    return Counter(map(_round, rates)).most_common(1)[0][0], remarks


def _sensors(tables: Sequence[FileFacts]) -> list[list[FileFacts]]:
    """Return the files of each sensor, if files of the same names in each folder are sensors of one recording.

    Files of one person each, or of one session each, are not: unlike sensors they have the same columns, and names that
    are none of sensors or of places on the body.
    """
    folders = {one.place.plain.parent for one in tables}
    by_stem: dict[str, list[FileFacts]] = {}
    for one in tables:
        by_stem.setdefault(_stem(one), []).append(one)
    in_each_folder = len(by_stem) > 1 and all(len(of_stem) == len(folders) for of_stem in by_stem.values())
    columns = [name for of_stem in by_stem.values() for name in set(of_stem[0].numbers)]
    differ = len(set(columns)) == len(columns)
    are_sensors = in_each_folder and (differ or all(map(_names_a_sensor, by_stem)))
    return list(by_stem.values()) if are_sensors and "subject" not in tables[0].roles else []


def _names_a_sensor(stem: str) -> bool:
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", stem).lower())
    known = _sensor_names()
    return any(word in known["places"] or word.startswith(known["sensors"]) for word in words)


@cache
def _sensor_names() -> dict[str, tuple[str, ...]]:
    text = resources.files(__package__).joinpath("sensor_names.yml").read_text(encoding="utf-8")
    return {kind: tuple(words) for kind, words in yaml.safe_load(text).items()}


def _most_common(tables: Sequence[FileFacts]) -> list[FileFacts]:
    """Return the files with the same columns that are most."""
    kinds: dict[tuple[str, ...], list[FileFacts]] = {}
    for one in tables:
        kinds.setdefault(tuple(one.numbers), []).append(one)
    return max(kinds.values(), key=len)


def _layout(facts: FileFacts, is_sensor: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how files of one kind are written, and their channels."""
    sensor = _stem(facts)[:_SHORT].lower() if is_sensor else ""
    channels = _channels(facts, sensor)
    columns = {channel["name"]: channel.pop("column") for channel in channels}
    columns |= {role: facts.roles[role] for role in ("subject", "activity", "recording") if role in facts.roles}
    layout = {**facts.layout, "columns": {name: column for name, column in columns.items() if name != column}}
    if facts.roles.get("timestamp", "timestamp") != "timestamp":
        layout.setdefault("timestamp", {"column": facts.roles["timestamp"]})
    if is_sensor:
        layout = {"pattern": _pattern(facts), **layout}
    return {key: value for key, value in layout.items() if value}, channels


def _intervals(facts: FileFacts) -> dict[str, Any]:
    columns = {"start": begin_column(facts), "activity": _label_column(facts) or "..."}
    if (end := end_column(facts)) is not None:
        columns["end"] = end
    return {"pattern": _pattern(facts), **facts.layout, "columns": columns}


def _pattern(facts: FileFacts) -> str:
    """Return the pattern of files of one name, in a folder for each recording if they are in folders."""
    return ("{recording}/" if len(facts.place.plain.parts) > 1 else "") + facts.place.plain.name


def _stem(facts: FileFacts) -> str:
    return PurePosixPath(facts.place.stem).name


def _channels(facts: FileFacts, sensor: str) -> list[dict[str, Any]]:
    """Return the channels of a file, with the column of each and the unit that its name or its samples suggest."""
    named = []
    numbers = sorted(facts.numbers) if sensor else facts.numbers
    for column in numbers:
        name = re.sub(r"\W+", "_", _UNIT.sub("", column).strip()).strip("_").lower() or "channel"
        named.append(f"{sensor}_{name}" if sensor else (column if re.fullmatch(r"\w+", column) else name))
    named = _told_apart(named)
    channels = [Channel(name=name, unit="") for name in named]
    units = [_unit_in(column) for column in numbers]
    order = [facts.numbers.index(column) for column in numbers]
    for sensor_name, indices in indices_by_sensor(channels).items():
        part = facts.samples[:, [order[index] for index in indices]]
        part = part[np.isfinite(part).all(axis=1)]
        word = f"{sensor_name} {_stem(facts)}".lower()
        guess = None
        if len(part) and len(indices) == 3 and "gyr" not in word and "mag" not in word:
            guess = unit_of_gravity(length_at_rest(part, facts.rate or 50.0))
        if len(part) and "gyr" in word:
            guess = "deg/s" if np.quantile(np.abs(part), 0.999) > FASTEST_TURN else "rad/s"
        if "mag" in word:
            guess = "uT"
        for index in indices:
            units[index] = units[index] or guess
    return [
        {"name": name, "unit": unit or "not stated", "column": column}
        for name, unit, column in zip(named, units, numbers, strict=True)
    ]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names that differ: of the same ones, the later are numbered."""
    told: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(2))
        told.append(next(one for one in chain([name], numbered) if one not in told))
    return told


def _other_units(tables: Sequence[FileFacts], channels: Sequence[dict[str, Any]]) -> list[str]:
    """Return which files seem to have samples in other units than the first."""
    remarks = []
    for one in tables:
        own = {channel["name"]: channel["unit"] for channel in _channels(one, "")}
        for channel in channels:
            name, unit = channel["name"], channel["unit"]
            if (other := own.get(name, unit)) not in (unit, "not stated"):
                remarks.append(
                    f"{one.place.name}: '{name}' seems to be in {other}, not in {unit} as in other files. Give it an "
                    f"entry of its own under 'files': {{pattern: \"{one.place.plain}\", units: {{{name}: {other}}}}}."
                )
    return remarks


def _unit_in(column: str) -> str | None:
    found = (find_unit(text) for text in _UNIT.findall(column))
    return next((unit.name for unit in found if unit is not None), None)


def _activities(tables: Sequence[FileFacts], intervals: Sequence[FileFacts]) -> tuple[dict[int, str], list[str]]:
    counts: Counter[str] = Counter()
    for one in tables:
        counts.update(one.activities)
    if not counts:
        for one in intervals:
            column = _label_column(one)
            if column is not None:
                counts.update(_labels_in(one, column))
    counts.pop("", None)
    unlabelled = [name for name in counts if name.casefold() in _UNLABELLED]
    names = [name for name in counts if name not in unlabelled]
    if len(names) > _FEW:
        return {}, unlabelled
    if names and all(re.fullmatch(r"-?\d+(\.0+)?", name) for name in names):
        codes = sorted({int(float(name)) for name in names} - {-1})
        return {code: f"activity {code}" for code in codes if code >= 0}, unlabelled
    return dict(enumerate(sorted(names))), unlabelled


def _label_column(facts: FileFacts) -> str | None:
    texts = [name for name in facts.others if not looks_like([name], "timestamp")]
    return facts.roles.get("activity") or (texts[0] if texts else None)


def _labels_in(facts: FileFacts, column: str) -> Iterable[str]:
    layout = FileLayout.model_validate({**facts.layout, "timestamp": Timestamp()})
    for block in open_table(facts.place, layout).blocks([], [column], None):
        yield from (str(name) for name in block.texts[column])


def _round(rate: float) -> float | int:
    nearest = round(rate)
    return nearest if nearest and abs(rate / nearest - 1) < 0.03 else round(rate, 2)
