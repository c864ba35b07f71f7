"""A first look at a folder of recordings: what is in its files, and a ``dataset.yml`` for a person to correct."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError
from contrastive_har.signals.sensors import Channel, indices_by_sensor
from contrastive_har.signals.units import find_unit
from contrastive_har.sources.own.checks import FASTEST_TURN, length_at_rest, unit_of_gravity
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.roles import looks_like
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, TIME_UNITS, FileLayout, Timestamp
from contrastive_har.sources.own.tables import Table, TextTable, open_table
from contrastive_har.sources.own.times import are_numbers

_ROLES = ("timestamp", "subject", "activity", "recording")
_UNLABELLED = ("null", "none", "nan", "unlabelled", "unlabeled", "unknown", "undefined", "other", "?", "-")
_UNIT = re.compile(r"[(\[]([^)\]]*)[)\]]")
_FEW = 100  # different labels, above which a column does not hold activities
_SHORT = 4  # letters of a sensor's name in the names of its channels
_EPOCHS = {"ns": 1e17, "us": 1e14, "ms": 1e11}  # the least time stamp of these units that counts since 1970
_MOST = 0.5  # share of steps that are much shorter than others, where samples come in batches
_SLOWEST, _FASTEST = 5.0, 1000.0  # rates of wearable sensors, in Hz


@dataclass
class FileFacts:
    """What a file seems to hold.

    Attributes:
        place: The file.
        layout: How it seems to be written.
        roles: Its columns of time stamps, subjects, activities and recordings.
        numbers: Its columns of samples.
        others: Its other columns.
        rows: Number of rows.
        seconds: Duration.
        rate: Samples per second; None if unknown.
        jitter: Standard deviation of the steps between samples, as a share of the usual one.
        gaps: Steps of more than a second.
        subjects: Rows by subject.
        activities: Rows by activity.
        samples: First samples (time, channels) by which units are guessed.
        problem: Why it cannot be read.
    """

    place: Place
    layout: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    rows: int = 0
    seconds: float = 0.0
    rate: float | None = None
    jitter: float = 0.0
    gaps: int = 0
    subjects: Counter[str] = field(default_factory=Counter)
    activities: Counter[str] = field(default_factory=Counter)
    samples: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    problem: str = ""


def propose(folder: Path) -> str:
    """Look at all files of a folder.

    Returns:
        The text of a ``dataset.yml``, with what was found as comments.

    Raises:
        BadRecordingError: if there is no such folder, or no table in it.
    """
    if not folder.is_dir():
        raise BadRecordingError(f"{folder}: no such folder.")
    places = find_places(folder)
    facts = [_look_at(place) for place in places if isinstance(place, Place)]
    if not any(one.numbers for one in facts):
        reasons = "; ".join(one.problem for one in facts if one.problem)
        raise BadRecordingError(f"{folder}: no file with samples. {reasons}".strip())
    passed_over = [f"{one.name}: passed over, {one.reason}" for one in places if isinstance(one, PassedOver)]
    tables = [one for one in facts if one.numbers and not one.problem]
    intervals = [one for one in facts if _are_intervals(one)]
    tables = [one for one in tables if one not in intervals]
    if any("timestamp" in one.roles for one in tables):  # what has no time beside them is about them
        tables = [one for one in tables if "timestamp" in one.roles]
    content, remarks = _description(tables, intervals)
    table = _table(facts).splitlines()
    comments = [f"What was found in {folder.name}/:", "", *table, *passed_over]
    comments += [one.problem.replace(f"{folder}/", "") for one in facts if one.problem]
    comments += [
        "",
        "Correct what follows. Only what stands here counts; nothing is guessed when the files are read.",
        *remarks,
    ]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return "".join(f"# {line}".rstrip() + "\n" for line in comments) + text


def write_proposal(folder: Path, text: str) -> str:
    """Write ``dataset.yml`` into a folder that has none.

    Returns:
        The text, and what became of it.
    """
    target = folder / DESCRIPTION_FILE
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"{text}\n{target} exists and is left as it is.\n"
    return f"{text}\nWritten: {target}. Correct it, then: kedro run --params=dataset=my_data\n"


def _look_at(place: Place) -> FileFacts:
    facts = FileFacts(place)
    try:
        _read(facts)
    except BadRecordingError as error:
        facts.problem = str(error)
    return facts


def _read(facts: FileFacts) -> None:
    facts.layout = _layout_of(facts.place)
    layout = FileLayout.model_validate(facts.layout)
    table = open_table(facts.place, layout)
    names = [name for name in table.names if name]
    for role in _ROLES:
        if alike := looks_like(names, role):
            facts.roles[role] = _best(alike, role, table.sample, table.names)
    rest = [name for name in names if name not in facts.roles.values()]
    times = looks_like(rest, "timestamp")
    sample = _sample(table, rest)
    for name in rest:
        is_number = name not in times and are_numbers([c for c in sample[name] if c.strip()][:50], layout.decimal)
        (facts.numbers if is_number else facts.others).append(name)
    stamp = facts.roles.get("timestamp")
    how = None
    if stamp is not None:
        how = Timestamp(column=stamp)
    seconds: list[NDArray[np.float64]] = []
    kept: list[NDArray[np.float64]] = []
    texts = [facts.roles[role] for role in ("subject", "activity") if role in facts.roles]
    for block in table.blocks(facts.numbers, texts, how):
        facts.rows += len(block.numbers)
        if block.seconds is not None:
            seconds.append(block.seconds)
        if sum(map(len, kept)) < 20_000:
            kept.append(block.numbers[:20_000])
        for role, counter in (("subject", facts.subjects), ("activity", facts.activities)):
            if role in facts.roles:
                column = block.texts[facts.roles[role]]
                for code, count in zip(*np.unique(column.codes, return_counts=True), strict=True):
                    counter[str(column.categories[code])] += int(count)
    facts.samples = np.concatenate(kept) if kept else facts.samples
    if seconds:
        _measure(facts, np.concatenate(seconds), are_numeric=stamp is not None and _are_numbers(table, stamp, layout))


def _measure(facts: FileFacts, stamps: NDArray[np.float64], are_numeric: bool) -> None:
    """Find the unit of the time stamps, the rate, its jitter and gaps."""
    stamps = stamps[np.isfinite(stamps)]
    if not len(stamps):
        return
    steps = np.diff(stamps)
    forward = steps[steps > 0]
    usual = float(np.median(forward)) if len(forward) else 0.0
    # Samples that come in batches have a rate only on average; the last batch ends nobody knows when.
    last = int(np.searchsorted(stamps, stamps[-1] - usual / 2)) if len(forward) else 0
    mean = float(forward.sum()) / last if last else usual
    batches = last > 0 and (np.abs(steps) < mean / 10).mean() > _MOST
    step = mean if batches else usual
    fitting = [name for name in TIME_UNITS if step and _SLOWEST <= 1 / (step * TIME_UNITS[name]) <= _FASTEST]
    epoch = next((unit for unit, least in _EPOCHS.items() if np.median(stamps) > least), None)
    unit = epoch or ("s" if "s" in fitting or not fitting or not are_numeric else fitting[0])
    scale = TIME_UNITS[unit]
    how = {"unit": unit} if unit != "s" else {}
    how |= {"batches": "spread"} if batches else {}
    if how:
        facts.layout["timestamp"] = {"column": facts.roles["timestamp"], **how}
    if not len(forward):
        return
    regular = forward[forward <= LONGEST_STEP * usual]
    facts.rate = 1 / (scale * (mean if batches else float(regular.mean())))
    facts.jitter = float(regular.std() / usual)
    facts.gaps = int((steps * scale > 1.0).sum()) if not batches else 0
    facts.seconds = float(forward.sum() if batches else forward[forward * scale <= 1.0].sum()) * scale


def _layout_of(place: Place) -> dict[str, Any]:
    """Guess how a text file is written."""
    if place.suffix == ".parquet":
        return {}
    layout: dict[str, Any] = {}
    for encoding in ("utf-16-le", "utf-16-be", "latin-1"):
        try:
            table = TextTable(place, FileLayout.model_validate(layout))
            break
        except BadRecordingError as error:
            if f"encoding: {encoding}" in str(error):
                layout["encoding"] = encoding
            elif encoding == "latin-1":
                raise
    else:
        table = TextTable(place, FileLayout.model_validate(layout))
    found = _widest(table)
    layout.update(found)
    table = TextTable(place, FileLayout.model_validate(layout))
    ends = Counter(row[-1].strip()[-1:] for row in table.sample if len(row) == len(table.names) and row[-1].strip())
    if len(ends) == 1 and not (end := next(iter(ends))).isalnum() and end not in ".)\"'":
        layout["line_end"] = end
    return layout


def _widest(table: TextTable) -> dict[str, Any]:
    """Find the delimiter and the header line: those that make most columns of the same number in the lines after it."""
    best: tuple[int, int, str] = (1, 0, ",")
    for delimiter in (",", ";", "\t", "|"):
        counts = [len(line.rstrip("\r\n").split(delimiter)) for line in table.lines[:60]]
        for skipped, count in enumerate(counts[:-1]):
            following = counts[skipped + 1 : skipped + 6]
            texts = [cell for cell in table.lines[skipped].split(delimiter) if not are_numbers([cell.strip()])]
            if count > best[0] and texts and all(0 <= other - count <= 1 for other in following):
                best = (count, skipped, delimiter)
                break
    count, skipped, delimiter = best
    found: dict[str, Any] = {}
    if skipped:
        found["skip_lines"] = skipped
    if delimiter != table.delimiter and count > 1:
        found["delimiter"] = delimiter
    cells = [cell.strip() for line in table.lines[skipped + 1 : skipped + 50] for cell in line.split(delimiter)]
    if delimiter != "," and any("," in cell and are_numbers([cell], ",") for cell in cells):
        found["decimal"] = ","
    return found


def _sample(table: Table, names: Sequence[str]) -> dict[str, list[str]]:
    if not table.sample:  # Parquet
        blocks = table.blocks([], list(names), None)
        first = next(iter(blocks), None)
        return {name: [str(cell) for cell in first.texts[name][:50]] if first is not None else [] for name in names}
    places = {name: table.names.index(name) for name in names}
    return {name: [row[index] for row in table.sample if index < len(row)] for name, index in places.items()}


def _are_numbers(table: Table, column: str, layout: FileLayout) -> bool:
    cells = [cell.strip() for cell in _sample(table, [column])[column] if cell.strip()]
    return are_numbers(cells[:1], layout.decimal)


def _best(alike: Sequence[str], role: str, sample: Sequence[Sequence[str]], names: Sequence[str]) -> str:
    """Return the most likely of several columns: of time stamps, the first that changes from row to row."""
    if role == "timestamp":
        for name in alike:
            index = list(names).index(name)
            if len({row[index] for row in sample if index < len(row)}) > 1:
                return name
    return alike[0]


def _are_intervals(facts: FileFacts) -> bool:
    """Return whether a file seems to say when activities begin: times and texts, without a regular rate."""
    is_slow = facts.rate is None or facts.rate < _SLOWEST
    return bool(
        not facts.problem and "timestamp" in facts.roles and is_slow and (facts.others or "activity" in facts.roles)
    )


def _description(tables: Sequence[FileFacts], intervals: Sequence[FileFacts]) -> tuple[dict[str, Any], list[str]]:
    """Return the content of ``dataset.yml``, and remarks."""
    remarks: list[str] = []
    kinds: dict[tuple[str, ...], list[FileFacts]] = {}
    for one in tables:
        kinds.setdefault((_stem(one), *one.numbers), []).append(one)
    by_columns = Counter(tuple(one.numbers) for one in tables)
    folders = Counter(one.place.plain.parent for one in tables)
    stems = Counter(_stem(one) for one in tables)
    # Files of the same names in each folder are sensors.
    are_sensors = (
        len(stems) > 1 and all(stems[stem] == len(folders) for stem in stems) and "subject" not in tables[0].roles
    )
    rates = [one.rate for one in tables if one.rate is not None]
    # The most common one; of two, the lower: what is resampled down was measured.
    common = Counter(_round(one) for one in sorted(rates)).most_common(1)
    rate = common[0][0] if common else 50
    if not rates:
        remarks.append("No time stamps were found: sampling_rate_hz is a guess.")
    elif max(rates) > 1.1 * min(rates):
        remarks.append(
            f"Rates differ, from {min(rates):.4g} to {max(rates):.4g} Hz: files are resampled to sampling_rate_hz."
        )
    content: dict[str, Any] = {"title": "My recordings", "sampling_rate_hz": rate}
    layouts: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for of_kind in kinds.values() if are_sensors else [max(kinds.values(), key=len)]:
        first = of_kind[0]
        sensor = _stem(first)[:_SHORT].rstrip("e").lower()[:3] if are_sensors else ""
        own = _channels(first, sensor)
        channels += own
        columns = {channel["name"]: channel.pop("column") for channel in own}
        layout = {**first.layout}
        layout["columns"] = {name: column for name, column in columns.items() if name != column}
        for role in ("subject", "activity", "recording"):
            if role in first.roles and first.roles[role] != role:
                layout["columns"][role] = first.roles[role]
        if "timestamp" in first.roles and first.roles["timestamp"] != "timestamp":
            layout.setdefault("timestamp", {"column": first.roles["timestamp"]})
        if are_sensors:
            deep = len(first.place.plain.parts) > 1
            layout = {"pattern": ("{recording}/" if deep else "") + first.place.plain.name, **layout}
        layouts.append({key: value for key, value in layout.items() if value})
    if not are_sensors:
        remarks += _other_units(tables, channels)
    if len(by_columns) > 1 and not are_sensors:
        remarks.append("Files have different columns; those of most files are described. See the table above.")
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
    if are_sensors:
        content["files"] = layouts
    else:
        content |= layouts[0]
    if intervals and "activity" not in tables[0].roles:
        one = intervals[0]
        text = _label_column(one) or "..."
        deep = len(one.place.plain.parts) > 1
        content["intervals"] = {
            "pattern": ("{recording}/" if deep else "") + one.place.plain.name,
            **one.layout,
            "columns": {"start": one.roles["timestamp"], "activity": text},
        }
    if not any("subject" in one.roles for one in tables):
        content["values"] = {"subject": "unknown"}
        remarks.append(
            "No column says who was recorded. Write the subject under 'values', or a pattern such as "
            "'{subject}/*.csv': a "
            "person whose recordings have several names is on both sides of every split."
        )
    return content, remarks


def _stem(facts: FileFacts) -> str:
    return PurePosixPath(facts.place.stem).name


def _channels(facts: FileFacts, sensor: str) -> list[dict[str, Any]]:
    """Return the channels of a file, with the column of each and the unit that its name or its samples suggest."""
    named = []
    numbers = sorted(facts.numbers) if sensor else facts.numbers
    for column in numbers:
        name = re.sub(r"\W+", "_", _UNIT.sub("", column).strip()).strip("_").lower() or "channel"
        named.append(f"{sensor}_{name}" if sensor else (column if re.fullmatch(r"\w+", column) else name))
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


def _other_units(tables: Sequence[FileFacts], channels: Sequence[dict[str, Any]]) -> list[str]:
    """Return which files seem to have samples in other units than the first."""
    remarks = []
    for one in tables:
        own = {channel["name"]: channel["unit"] for channel in _channels(one, "")}
        for channel in channels:
            name, unit = channel["name"], channel["unit"]
            if (other := own.get(name, unit)) not in (unit, "not stated"):
                remarks.append(
                    f"{one.place.name}: '{name}' seems to be in {other}, not in {unit} as in other files. Give it "
                    "an entry "
                    f"of its own under 'files': {{pattern: \"{one.place.plain}\", units: {{{name}: {other}}}}}."
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


def _table(facts: Sequence[FileFacts]) -> str:
    """Return what each file holds, as a table of text."""
    rows = []
    for one in facts:
        minutes = {}
        if one.rate:
            minutes = {name or "(none)": count / one.rate / 60 for name, count in one.activities.items()}
        rows.append(
            {
                "file": one.place.name,
                "rows": one.rows,
                "subjects": ", ".join(sorted(one.subjects)[:4]) + (" ..." if len(one.subjects) > 4 else ""),
                "minutes": f"{one.seconds / 60:.1f}" if one.rate else "",
                "Hz": f"{one.rate:.4g} ± {100 * one.jitter:.0f} %" if one.rate else "",
                "gaps": one.gaps if one.rate else "",
                "minutes of": ", ".join(f"{name} {value:.1f}" for name, value in list(minutes.items())[:8]),
                "time": one.roles.get("timestamp", ""),
                "samples": ", ".join(one.numbers[:12]),
                "other columns": ", ".join(one.others[:6]),
            }
        )
    frame = pd.DataFrame(rows)
    return str(frame.loc[:, (frame != "").any()].to_string(index=False, max_colwidth=60))
