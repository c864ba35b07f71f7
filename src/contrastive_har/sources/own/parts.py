"""Rows of one sensor or one file of a recording, and how they become samples on a clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.signals.sensors import Channel
from contrastive_har.signals.units import factor
from contrastive_har.sources.own.checks import limits_of
from contrastive_har.sources.own.cleaning import Cleaning, Rows, share_of_batches, spread_batches
from contrastive_har.sources.own.roles import Kind
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, TIME_UNITS, Reading
from contrastive_har.sources.own.tables import Table

_LOOKED_AT = 1000  # times from which the rate is measured before anything is read
_SLOWEST, _FASTEST = 0.5, 100.0  # rates, as shares of the expected one, that are believed
_BATCHES = 0.1  # share of steps much shorter than usual, above which samples came in batches


@dataclass(frozen=True)
class Part:
    """Rows of one recording in one table.

    Attributes:
        kind: The file.
        table: Its table.
        channels: Channels that the table has.
        rows: Index of each row in the table, int64 (time,).
        numbers: Samples as the table has them (time, channels).
        seconds: Time of each row (time,); None without time stamps.
        codes: Activity of each row, int16 (time,); None if the table does not say.
    """

    kind: Kind
    table: Table
    channels: Sequence[Channel]
    rows: NDArray[np.int64]
    numbers: NDArray[np.float64]
    seconds: NDArray[np.float64] | None
    codes: NDArray[np.int16] | None = None

    def at(self, index: int) -> str:
        """Return the file and the row of a sample, for messages."""
        return f"{self.table.place.where}, row {self.table.line(int(self.rows[index]))}"

    def take(self, which: slice | NDArray[np.intp]) -> Part:
        """Return some of the rows."""
        return replace(
            self,
            rows=self.rows[which],
            numbers=self.numbers[which],
            seconds=None if self.seconds is None else self.seconds[which],
            codes=None if self.codes is None else self.codes[which],
        )


def factors_of(kind: Kind, channels: Sequence[Channel], where: str) -> NDArray[np.float64]:
    """Return what the samples of each channel are multiplied with to be in the channel's unit, (channels,).

    Raises:
        BadRecordingError: if a unit cannot be converted.
    """
    units = kind.layout.units
    try:
        return np.array(
            [factor(units.get(one.name, units.get(one.sensor or "", one.unit)), one.unit) for one in channels]
        )
    except ValueError as error:
        raise BadRecordingError(f"{where}: {error}. Correct 'units' in {DESCRIPTION_FILE}.") from error


def refuse_other_rate(
    seconds: NDArray[np.float64],
    rate: float,
    kind: Kind,
    where: Callable[[], str],
    expected: str = f"{DESCRIPTION_FILE} says",
    slowest: float = _SLOWEST,
) -> None:
    """Refuse time stamps that the expected rate contradicts: those of another unit, and samples that come in batches.

    Args:
        seconds: Time of each row (time,).
        rate: Expected samples per second.
        kind: The file.
        where: Returns the file and the row, for messages: finding the row takes as long as reading the file.
        expected: Who expects that rate, for messages.
        slowest: Slowest rate that is believed, as a share of the expected one.

    Raises:
        BadRecordingError: if there are such; names the rate and what to write.
    """
    steps = np.diff(seconds[: _LOOKED_AT + 1])
    steps = steps[np.isfinite(steps)]
    how, column = kind.layout.timestamp, kind.column("timestamp")
    if how.batches is None and len(steps):
        share = share_of_batches(seconds[: _LOOKED_AT + 1], 1 / rate)
        equal, late = (steps == 0).mean(), (steps > 2 / rate).mean()
        if share > _BATCHES and (equal > _BATCHES or late > _BATCHES / 20):
            raise BadRecordingError(
                f"{where()}: {100 * share:.0f} % of the rows have the time of the row before, or nearly so, as if "
                "samples "
                f"came in batches. Write 'timestamp: {{column: {column}, batches: spread}}' in {DESCRIPTION_FILE} "
                "to spread "
                f"them evenly at {rate:g} Hz."
            )
    steps = steps[steps > 0]
    if how.batches is not None or not len(steps):
        return
    found = 1 / float(np.median(steps)) / rate
    if slowest <= found <= _FASTEST:
        return
    unit = TIME_UNITS[how.unit or "s"]
    fitting = [name for name, size in TIME_UNITS.items() if 0.7 <= found * unit / size <= 1.5]
    cure = f"Correct sampling_rate_hz in {DESCRIPTION_FILE}, or write 'timestamp: {{column: {column}, unit: ...}}'."
    if fitting:
        cure = f"Write 'timestamp: {{column: {column}, unit: {fitting[0]}}}' in {DESCRIPTION_FILE}."
    raise BadRecordingError(
        f"{where()}: in {'seconds' if how.unit is None else how.unit}, time stamps come at {found * rate:.4g} Hz; "
        f"{expected} {rate:g} Hz. {cure}"
    )


def clean(part: Part, rate: float, reading: Reading, counts: Counter[str]) -> Rows:
    """Return the rows of a part in the order of time, in the units of its channels, without what cannot be used.

    Args:
        part: The rows.
        rate: Declared samples per second.
        reading: How the files are read.
        counts: What was mended; added to.

    Raises:
        BadRecordingError: if the declared rate contradicts the time stamps, or there is a gap and gaps are refused.
    """
    keep = np.arange(len(part.rows))
    samples = part.numbers * factors_of(part.kind, part.channels, part.table.place.where)
    if part.seconds is None:
        seconds = np.arange(len(keep)) / rate
    else:
        refuse_other_rate(part.seconds, rate, part.kind, lambda: part.at(0))
        spread = part.kind.layout.timestamp.batches is not None
        seconds = spread_batches(part.seconds, 1 / rate)[0] if spread else part.seconds
        if spread:
            counts["rows spread over batches"] += int((seconds != part.seconds).sum())
    cleaning = Cleaning(limits_of(part.channels, reading.limits, samples), reading.longest_gap, 1 / rate)
    found = [cleaning.push(seconds, samples, keep), cleaning.finish()]
    rows = Rows(*(np.concatenate([getattr(one, name) for one in found]) for name in ("seconds", "samples", "source")))
    if cleaning.first_impossible is not None:
        row, channel, value = cleaning.first_impossible
        number = cleaning.counts.pop("impossible samples")
        name = part.channels[channel].name
        line = part.table.line(int(part.rows[row]))
        counts[f"impossible samples, the first in row {line}: {name} = {value:.6g}"] += number
    counts.update(+cleaning.counts)
    return rows
