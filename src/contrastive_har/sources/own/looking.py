"""A look at one file: how it seems to be written, and what it seems to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError
from contrastive_har.sources.own.formats import formats_of
from contrastive_har.sources.own.forms import form_of
from contrastive_har.sources.own.intervals import BEGINS, ENDS
from contrastive_har.sources.own.opening import open_table
from contrastive_har.sources.own.places import Place
from contrastive_har.sources.own.roles import ascending, looks_like, most_likely_clock, plain
from contrastive_har.sources.own.settings import TIME_UNITS, FileLayout, Timestamp
from contrastive_har.sources.own.tables import Table
from contrastive_har.sources.own.text_tables import TextTable
from contrastive_har.sources.own.times import are_numbers, to_seconds

_ROLES = ("timestamp", "subject", "activity", "recording")
_EPOCHS = {"ns": 1e17, "us": 1e14, "ms": 1e11}  # the least time stamp of these units that counts since 1970
_MOST = 0.5  # share of steps that are much shorter than others, where samples come in batches
_SLOWEST, _FASTEST = 5.0, 800.0  # rates of wearable sensors, in Hz
_EVEN = 0.1  # jitter, below which samples are taken for regular


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
        doubt: What is not certain.
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
    doubt: str = ""


def look_at(place: Place) -> FileFacts:
    """Look at a file; if it cannot be read, that is its problem."""
    facts = FileFacts(place)
    try:
        _read(facts)
    except BadRecordingError as error:
        facts.problem = str(error)
    except Exception as error:  # noqa: BLE001 - damaged archives cause errors that are not documented
        facts.problem = f"{place.where}: cannot be read ({explain(error)}). Copy it again."
    return facts


def _read(facts: FileFacts) -> None:
    facts.layout = _layout_of(facts.place)
    layout = FileLayout.model_validate(facts.layout)
    table = open_table(facts.place, layout)
    names = [name for name in table.names if name]
    for role in _ROLES:
        if alike := looks_like(names, role):
            facts.roles[role] = (most_likely_clock(alike, table) if role == "timestamp" else alike)[0]
    rest = [name for name in names if name not in facts.roles.values()]
    clocks, counts = ascending([name for name in rest if plain(name) not in ENDS], table)
    if clocks and "timestamp" not in facts.roles:
        facts.roles["timestamp"] = clocks[-1]  # counters of samples come before clocks
        rest.remove(clocks[-1])
    times = {*looks_like(rest, "timestamp"), *clocks, *counts}
    sample = _sample(table, rest)
    for name in rest:
        is_number = name not in times and are_numbers([c for c in sample[name] if c.strip()][:50], layout.decimal)
        (facts.numbers if is_number else facts.others).append(name)
    stamp = facts.roles.get("timestamp")
    how = None
    if stamp is not None:
        how = Timestamp(column=stamp, format=_format_of(facts, stamp, _sample(table, [stamp])[stamp]))
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
    batches = len(steps) > 0 and (last == 0 or (np.abs(steps) < mean / 10).mean() > _MOST)
    step = mean if batches else usual
    fitting = [name for name in TIME_UNITS if step and _SLOWEST <= 1 / (step * TIME_UNITS[name]) <= _FASTEST]
    epoch = next((unit for unit, least in _EPOCHS.items() if np.median(stamps) > least), None)
    usual_unit = "s" if "s" in fitting or not fitting or not are_numeric else fitting[0]
    unit = epoch if epoch in fitting or (epoch and not fitting) else usual_unit  # others since a start may be as large
    scale = TIME_UNITS[unit]
    how = {"unit": unit} if unit != "s" else {}
    how |= {"batches": "spread"} if batches else {}
    if how:
        facts.layout["timestamp"] = {**facts.layout.get("timestamp", {"column": facts.roles["timestamp"]}), **how}
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
    layout.update(form_of(table))
    table = TextTable(place, FileLayout.model_validate(layout))
    ends = Counter(row[-1].strip()[-1:] for row in table.sample if len(row) == len(table.names) and row[-1].strip())
    if len(ends) == 1 and not (end := next(iter(ends))).isalnum() and end not in ".)\"'":
        layout["line_end"] = end
    return layout


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


def _format_of(facts: FileFacts, column: str, cells: Sequence[str]) -> str | None:
    """Return the format of time stamps that are neither numbers nor ISO 8601."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    formats = formats_of(texts) if all(map(str.isdigit, texts)) else []
    try:
        to_seconds(pd.Series(texts, dtype="string"), Timestamp(column=column), str)
    except BadRecordingError:
        formats = formats_of(texts)
    if not formats:
        return None
    facts.layout["timestamp"] = {"column": column, "format": formats[0]}
    if len(formats) > 1:
        facts.doubt = f"{facts.place.name}: '{texts[0]}' may be of the format {' or '.join(formats)}: correct 'format'."
    return formats[0]


def are_intervals(facts: FileFacts) -> bool:
    """Return whether a file seems to say when activities begin: times and texts, without samples at a regular rate."""
    if facts.problem or begin_column(facts) is None or not (facts.others or "activity" in facts.roles):
        return False
    begin_and_end = end_column(facts) is not None and len(facts.numbers) <= 2
    is_slow = facts.rate is None or facts.rate < _SLOWEST
    is_regular = len(facts.numbers) > 2 and facts.jitter < _EVEN
    return begin_and_end or (is_slow and not is_regular)


def begin_column(facts: FileFacts) -> str | None:
    """Return the column that seems to say when intervals begin."""
    stamp = facts.roles.get("timestamp")
    begins = (name for name in (stamp, *facts.numbers, *facts.others) if name and plain(name) in BEGINS)
    return next(begins, stamp)


def end_column(facts: FileFacts) -> str | None:
    """Return the column that seems to say when intervals end."""
    return next((name for name in (*facts.numbers, *facts.others) if plain(name) in ENDS), None)
