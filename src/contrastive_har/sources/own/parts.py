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
from contrastive_har.sources.own.checks import IMPOSSIBLE, are_impossible, limits_of, refuse_wrong_units
from contrastive_har.sources.own.cleaning import LATEST, Cleaning, Rows, batches_of, share_of_batches, spread_batches
from contrastive_har.sources.own.formats import formats_of
from contrastive_har.sources.own.roles import Kind
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, TIME_UNITS, Reading, Timestamp
from contrastive_har.sources.own.tables import Table

LOOKED_AT = 1000
"""Times from which the rate is measured before anything is read."""

_SLOWEST, _FASTEST = 0.5, 25.0  # rates, as shares of the expected one, that are believed
_PLAUSIBLE = 4.0, 1000.0  # rates of wearable sensors in Hz
_OF_BATCHES, _FEWEST_BATCHES = 0.8, 3  # slowest rate on average over batches that is believed, and of how many
_DESCENDS = 0.9  # share of times before the one before, above which rows are in descending order
_DISORDER, _RESTARTS = 0.01, 20  # share and number of times that go back, above which rows of several clocks alternate
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
        are_local: Whether times are local, so that clocks change by an hour.
    """

    kind: Kind
    table: Table
    channels: Sequence[Channel]
    rows: NDArray[np.int64]
    numbers: NDArray[np.float64]
    seconds: NDArray[np.float64] | None
    codes: NDArray[np.int16] | None = None
    are_local: bool = False

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
    steps = np.diff(seconds[: LOOKED_AT + 1])
    steps = steps[np.isfinite(steps)]
    how = kind.layout.timestamp.model_copy(update={"column": kind.column("timestamp")})
    if how.batches is None and len(steps):
        share = share_of_batches(seconds[: LOOKED_AT + 1], 1 / rate)
        equal, late = (steps == 0).mean(), (steps > 2 / rate).mean()
        spread = how.written(batches="spread")
        if share > _BATCHES and (equal > _BATCHES or late > _BATCHES / 20):
            raise BadRecordingError(
                f"{where()}: {100 * share:.0f} % of the rows have the time of the row before, or nearly so, as if "
                f"samples came in batches. Write '{spread}' in {DESCRIPTION_FILE} to spread them evenly at {rate:g} Hz."
            )
    steps = steps[steps > 0]
    if not len(steps):
        return
    if how.batches is not None:
        begins = batches_of(seconds[: LOOKED_AT + 1], 1 / rate)
        slowest = max(slowest, _OF_BATCHES)
        if len(begins) < _FEWEST_BATCHES:
            return
        looked_at = seconds[: LOOKED_AT + 1]
        found = (begins[-1] - begins[0]) / max(looked_at[begins[-1]] - looked_at[begins[0]], 1e-12) / rate
    else:
        found = 1 / float(np.median(steps)) / rate
    if slowest <= found and (found <= _FASTEST or found * rate <= _PLAUSIBLE[1]):
        return
    cure = _cure_of_rate(seconds, found, rate, how)
    unit_name = f"units of {how.scale:g} s" if isinstance(how.unit, float) else how.unit or "seconds"
    raise BadRecordingError(
        f"{where()}: in {unit_name}, time stamps come at {found * rate:.4g} Hz; {expected} {rate:g} Hz. {cure}"
    )


def _cure_of_rate(seconds: NDArray[np.float64], found: float, rate: float, how: Timestamp) -> str:
    """Return what to write where time stamps come at ``found`` times the expected rate."""
    numbers = seconds[np.isfinite(seconds)][:LOOKED_AT] / how.scale
    fitting = [
        name
        for name, size in TIME_UNITS.items()
        if 0.7 <= found * how.scale / size <= 1.5 and numbers.max() * size < LATEST
    ]
    if formats := formats_of([f"{number:.0f}" for number in numbers]):
        return f"Write '{how.written(format=formats[0])}' in {DESCRIPTION_FILE}."
    if not fitting and _PLAUSIBLE[0] <= found * rate <= _PLAUSIBLE[1]:
        return f"Correct sampling_rate_hz in {DESCRIPTION_FILE} to {found * rate:.4g}."
    unit = fitting[0] if fitting else found * how.scale  # else a count of samples or ticks
    return f"Write '{how.written(unit=unit)}' in {DESCRIPTION_FILE}."


def refuse_disorder(seconds: NDArray[np.float64], longest_gap: float, where: str) -> None:
    """Refuse rows that are not in the order of time, or of several clocks.

    Raises:
        BadRecordingError: if there is no time, most times are earlier than those before, or many go back.
    """
    steps = np.diff(known := seconds[np.isfinite(seconds)])
    if len(seconds) and not len(known):
        raise BadRecordingError(f"{where}: no row has a time. Fill the times in, or remove their column.")
    if not len(steps):
        return
    if (steps < 0).mean() > _DESCENDS:
        raise BadRecordingError(f"{where}: times descend. Sort the rows by time.")
    if (back := int((steps < -longest_gap).sum())) > max(_RESTARTS, _DISORDER * len(steps)):
        raise BadRecordingError(
            f"{where}: times go back {back} times, as if rows of several recordings alternate. Write 'columns: "
            f"{{recording: ...}}' in {DESCRIPTION_FILE} if a column tells them apart, or sort the rows by time."
        )


def refuse_impossible(
    samples: NDArray[np.float64],
    limits: NDArray[np.float64],
    channels: Sequence[Channel],
    rate: float,
    reading: Reading,
    where: str,
) -> None:
    """Refuse samples of which many are beyond the limits, or a channel without any: those are no single errors.

    Args:
        samples: Measurements (time, channels).
        limits: Least and greatest possible sample of each channel, (channels, 2).
        channels: The channels.
        rate: Samples per second.
        reading: How the files are read; limits that it declares are meant.
        where: File for messages.

    Raises:
        BadRecordingError: if there are; names the channel and what to correct.
    """
    empty = ~np.isfinite(samples).any(axis=0)
    if len(samples) and empty.any():
        raise BadRecordingError(
            f"{where}: no numbers in the column of '{channels[int(empty.argmax())].name}'. Fill it in, or leave the "
            "file out."
        )
    shares = are_impossible(samples, limits).mean(axis=0) if len(samples) else np.zeros(1)
    declared = [{one.name, one.sensor} & set(reading.limits) != set() for one in channels]
    shares = np.where(declared, 0.0, shares)
    if shares.max() <= IMPOSSIBLE:
        return
    channel = channels[int(shares.argmax())]
    if reading.check_units:
        refuse_wrong_units(samples, channels, rate, where)
    low, high = limits[int(shares.argmax())]
    raise BadRecordingError(
        f"{where}: {100 * shares.max():.0f} % of the samples of '{channel.name}' are beyond {low:g} to {high:g} "
        f"{channel.unit}. Correct its unit, 'units' or 'limits' in {DESCRIPTION_FILE}."
    )


def clean(part: Part, rate: float, reading: Reading, counts: Counter[str]) -> Rows:
    """Return the rows of a part in the order of time, in the units of its channels, without what cannot be used.

    Args:
        part: The rows.
        rate: Declared samples per second.
        reading: How the files are read.
        counts: What was mended; added to.

    Raises:
        BadRecordingError: if the declared rate or unit contradicts the rows, or they are not in the order of time.
    """
    keep, where = np.arange(len(part.rows)), part.table.place.where
    samples = part.numbers * factors_of(part.kind, part.channels, where)
    if part.seconds is None:
        seconds = np.arange(len(keep)) / rate
    else:
        refuse_disorder(part.seconds, reading.longest_gap, where)
        refuse_other_rate(part.seconds, rate, part.kind, lambda: part.at(0))
        spread = part.kind.layout.timestamp.batches is not None
        seconds = spread_batches(part.seconds, 1 / rate)[0] if spread else part.seconds
        if spread:
            counts["rows spread over batches"] += int((seconds != part.seconds).sum())
    limits = limits_of(part.channels, reading.limits, samples)
    refuse_impossible(samples, limits, part.channels, rate, reading, where)
    cleaning = Cleaning(limits, reading.longest_gap, 1 / rate, part.are_local)
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
