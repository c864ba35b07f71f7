"""Rows of a recording to samples on a regular clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.own.checks import count_saturated, refuse_wrong_units
from contrastive_har.sources.own.intervals import IntervalTable, intervals_of
from contrastive_har.sources.own.joining import join
from contrastive_har.sources.own.labels import LEFT_OUT, spelled
from contrastive_har.sources.own.parts import Part
from contrastive_har.sources.own.rows import NamedRows
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, Reading


class Loader:
    """Makes recordings of rows.

    Args:
        description: What recordings have in common.
        reading: How the files are written.
        intervals: Intervals of activities.
    """

    def __init__(self, description: DatasetDescription, reading: Reading, intervals: Sequence[IntervalTable]) -> None:
        self._description, self._reading, self._intervals = description, reading, intervals

    def load(self, name: str, sensors: Sequence[NamedRows]) -> Recording:
        """Return the recording of the rows of one or several sensors.

        Raises:
            BadRecordingError: if it cannot be used.
        """
        rate, reading = self._description.sampling_rate_hz, self._reading
        where = sensors[0].part.table.place.where
        facts = self._facts(name, sensors)
        counts: Counter[str] = Counter()
        parts = [self._labelled(name, facts["subject"], rows.part, counts) for rows in sensors]
        joined = join(parts, rate, reading, counts)
        if reading.gaps == "reject" and joined.gaps:
            row, length = joined.gaps[0]
            raise BadRecordingError(
                f"{where}, row {parts[0].table.line(row)}: a gap of {length:.3g} s before this row. Fill it, or write "
                f"'gaps: split' in {DESCRIPTION_FILE} to divide the recording there."
            )
        counts["gaps"] += len(joined.gaps)
        channels = [channel for part in parts for channel in part.channels]
        order = [channels.index(channel) for channel in self._description.channels]
        samples = joined.regular.samples[:, order]
        if reading.check_units:
            refuse_wrong_units(samples, self._description.channels, rate, where)
        counts["saturated samples"] += count_saturated(samples)
        counts = +counts
        total = {"rows in the file": sum(len(rows) for rows in sensors)} if counts else {}
        return Recording(
            subject=facts["subject"],
            name=name,
            sample=joined.regular.clock,
            activity=joined.codes,
            samples=samples.astype(np.float32),
            groups={group: facts[group] for group in self._description.groups},
            mended={**total, **counts},
        )

    def _labelled(self, name: str, subject: str, part: Part, counts: Counter[str]) -> Part:
        """Return the rows of a sensor with the activities of intervals, without those of activities to leave out."""
        if self._reading.intervals is not None:
            seconds = part.seconds
            if seconds is None and all(one.is_relative for one in self._intervals):
                seconds = np.arange(len(part.rows)) / self._description.sampling_rate_hz
            if seconds is None:
                raise BadRecordingError(
                    f"{part.table.place.where}: no time stamps, by which intervals could be found. Write 'timestamp: "
                    f"{{column: ...}}' in {DESCRIPTION_FILE}."
                )
            folder = part.kind.place.plain.parent.as_posix()
            codes, found = intervals_of(name, subject, folder, seconds, self._intervals)
            part = replace(part, codes=codes)
            for what, count in found.items():
                counts[what] = max(counts[what], count)
        if part.codes is not None and (left_out := part.codes == LEFT_OUT).any():
            counts["samples of activities to leave out"] += int(left_out.sum())
            if part.seconds is None:  # counted, so that what was before and after them is not taken for one stretch
                part = replace(part, seconds=np.arange(len(part.rows)) / self._description.sampling_rate_hz)
            part = part.take(np.flatnonzero(~left_out))
        if not len(part.rows):
            where = part.table.place.where
            raise BadRecordingError(f"{where}: recording '{name}' has no samples but those to leave out.")
        return part

    def _facts(self, name: str, sensors: Sequence[NamedRows]) -> dict[str, str]:
        """Return the subject and the groups of a recording.

        Raises:
            BadRecordingError: if it belongs to two, or to none.
        """
        facts: dict[str, str] = {}
        for rows in sensors:
            part, kind = rows.part, rows.part.kind
            for role in ("subject", *self._description.groups):
                if role in kind.values:
                    try:
                        found = spelled(role, kind.values[role], self._reading)
                    except ValueError as error:
                        raise BadRecordingError(f"{kind.place.where}: '{role}' {error}.") from error
                elif role in rows.names:
                    column = rows.names[role]
                    found = str(column[0])
                    if (other := column.codes != column.codes[0]).any():
                        index = int(np.flatnonzero(other)[0])
                        self._refuse_two(part.at(index), name, role, found, str(column[index]))
                else:
                    continue
                if facts.setdefault(role, found) != found:
                    self._refuse_two(kind.place.where, name, role, facts[role], found)
        if missing := [role for role in ("subject", *self._description.groups) if role not in facts]:
            raise BadRecordingError(
                f"{sensors[0].part.table.place.where}: no file of recording '{name}' says its {missing[0]}. Write "
                f"'values: {{{missing[0]}: ...}}' or a pattern with {{{missing[0]}}} in {DESCRIPTION_FILE}."
            )
        return facts

    @staticmethod
    def _refuse_two(where: str, name: str, role: str, first: str, second: str) -> None:
        raise BadRecordingError(
            f"{where}: recording '{name}' belongs to {role} '{first}' and to '{second}'. Give each {role} recordings "
            "of its own."
        )
