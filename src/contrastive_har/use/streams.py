"""One recording of a file, read in blocks of rows, as pieces of clean samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError, Piece
from contrastive_har.signals.sensors import Channel
from contrastive_har.sources.own.checks import limits_of, refuse_wrong_units
from contrastive_har.sources.own.cleaning import Cleaning, Rows, spread_batches
from contrastive_har.sources.own.parts import LOOKED_AT, refuse_disorder, refuse_impossible, refuse_other_rate
from contrastive_har.sources.own.regular import measured_rate
from contrastive_har.sources.own.roles import Kind
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading
from contrastive_har.sources.own.tables import Block, Table

_LOGGER = logging.getLogger(__name__)
_CHECKED = 20_000  # samples by which units are checked
_SLOWEST = 0.05  # share of the model's rate, below which time stamps are taken for those of another unit
_RATE_TOLERANCE = 0.05  # share by which the rates that the stamps and dataset.yml say may differ


@dataclass(frozen=True)
class Expected:
    """What is known of recordings before they are read.

    Attributes:
        rate: The declared rate in Hz; None if none is declared.
        model_hz: Rate that the model learned from.
        longest_gap: Seconds without samples that are interpolated.
        reading: How the files are written.
        typical: Samples as the model knows them (samples, channels), by which impossible ones of unknown units are
            found; None if it does not.
    """

    rate: float | None
    model_hz: float
    longest_gap: float
    reading: Reading
    typical: NDArray[np.float64] | None = None


class Stream:
    """One recording of a file: blocks of rows to pieces of clean samples."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        table: Table,
        channels: Sequence[Channel],
        factors: NDArray[np.float64],
        expected: Expected,
    ) -> None:
        self.name = name
        self._kind, self._table, self._channels = kind, table, channels
        self._factors, self._expected = factors, expected
        self._interval = 1 / (expected.rate or expected.model_hz)
        self._spreads = kind.layout.timestamp.batches is not None
        self._held = (np.empty(0), np.empty((0, len(channels))), np.empty(0, np.int64))
        self._cleaning: Cleaning | None = None
        self._is_timed = self._has_samples = False
        self._count = 0
        self._looked_at: list[NDArray[np.float64]] = []  # samples by which units are checked

    def push(self, block: Block) -> Iterator[Piece]:
        """Add rows; yield the samples that are complete."""
        self._is_timed = block.seconds is not None
        count = len(block.numbers)
        seconds, samples = block.seconds, block.numbers * self._factors
        if seconds is None:
            seconds = (self._count + np.arange(count, dtype=np.float64)) * self._interval
        self._count += count
        if self._is_timed:
            refuse_disorder(seconds, self._expected.longest_gap, self._kind.place.where)
        if self._cleaning is None:
            if self._is_timed:
                self._look_at(seconds, block.first)
            reading, where = self._expected.reading, self._kind.place.where
            limits = limits_of(self._channels, reading.limits, self._expected.typical)
            refuse_impossible(samples, limits, self._channels, 1 / self._interval, reading, where)
            self._cleaning = Cleaning(limits, self._expected.longest_gap, self._interval, block.are_local)
        yield from self._clean(self._cleaning, seconds, samples, block.first + np.arange(count))

    def finish(self) -> Iterator[Piece]:
        """Yield the remaining samples, and say what was mended."""
        if self._cleaning is None:
            return
        seconds, samples, rows = self._held
        yield from self._clean(self._cleaning, seconds[:0], samples[:0], rows[:0], is_last=True)
        yield from self._piece(self._cleaning.finish())
        counts = [f"{count} {what}" for what, count in self._cleaning.counts.items() if count]
        if self._cleaning.first_impossible is not None:
            row, channel, value = self._cleaning.first_impossible
            counts.append(f"the first impossible one in row {self._table.line(row)}: {value:.6g}")
            counts[-1] += f" in '{self._channels[channel].name}'"
        if not self._has_samples:
            raise BadRecordingError(
                f"{self._kind.place.where}: recording '{self.name}' has no sample that can be used: "
                f"{', '.join(counts)}. Check the units and 'limits' in {DESCRIPTION_FILE}."
            )
        warn(self._kind.place.where, self.name, counts)
        if self._looked_at and self._expected.reading.check_units:
            try:
                refuse_wrong_units(
                    np.concatenate(self._looked_at), self._channels, 1 / self._interval, self._kind.place.where
                )
            except BadRecordingError as error:  # distances to the training data say which rows are wrong
                _LOGGER.warning("%s", error)

    def _look_at(self, seconds: NDArray[np.float64], first: int) -> None:
        """Compare the time stamps with the expected rate, and measure theirs."""
        declared = self._expected.rate

        def where() -> str:
            return f"{self._kind.place.where}, row {self._table.line(first)}"

        expected = f"{DESCRIPTION_FILE} says" if declared else "the model learned from"
        refuse_other_rate(seconds, 1 / self._interval, self._kind, where, expected, _SLOWEST)
        found = measured_rate(seconds[np.isfinite(seconds)][:LOOKED_AT])
        if self._spreads or not found:
            return
        if declared and abs(found / declared - 1) > _RATE_TOLERANCE:
            _LOGGER.warning(
                "%s: time stamps come at %.4g Hz, %s says %g Hz; the time stamps hold.",
                *(where(), found, DESCRIPTION_FILE, declared),
            )
        self._interval = 1 / found

    def _clean(
        self,
        cleaning: Cleaning,
        seconds: NDArray[np.float64],
        samples: NDArray[np.float64],
        rows: NDArray[np.int64],
        is_last: bool = False,
    ) -> Iterator[Piece]:
        if self._spreads:  # the last batch is held back until the next one is known
            held = self._held
            seconds, rows = np.concatenate([held[0], seconds]), np.concatenate([held[2], rows])
            samples = np.concatenate([held[1], samples])
            spread, end = spread_batches(seconds, self._interval)
            end = len(seconds) if is_last else end
            self._held = seconds[end:], samples[end:], rows[end:]
            seconds, samples, rows = spread[:end], samples[:end], rows[:end]
        yield from self._piece(cleaning.push(seconds, samples, rows))

    def _piece(self, rows: Rows) -> Iterator[Piece]:
        if len(rows):
            self._has_samples = True
            if sum(map(len, self._looked_at)) < _CHECKED:
                self._looked_at.append(rows.samples[:_CHECKED])
            row = int(rows.source[0]) + self._table.first_line  # blank lines aside
            rate = None if self._is_timed else self._expected.rate
            yield Piece(self.name, Path(self._kind.place.where), row, rows.seconds, rows.samples, rate)


def warn(where: str, name: str, mended: Sequence[str]) -> None:
    """Say what was mended in a recording, if anything was."""
    if mended:
        _LOGGER.warning("%s: recording '%s': %s", where, name, ", ".join(mended))
