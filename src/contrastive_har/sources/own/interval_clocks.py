"""Whether intervals and samples have one clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.settings import DESCRIPTION_FILE, TIME_UNITS, FileLayout, Intervals
from contrastive_har.sources.own.tables import Table

UNDER = f"under 'intervals' in {DESCRIPTION_FILE}"
"""Where cures of intervals stand, for messages."""

_USUAL = 0.5  # share of intervals with a sample, up to which their times are compared with those of other clocks
_SPREAD = 0.1  # share of a recording over which intervals are at least spread if their clock is right


@dataclass(frozen=True)
class Clock:
    """The clock of a file of intervals.

    Attributes:
        layout: How the file is written.
        is_local: Whether its times are local, so that a time zone says which are meant.
    """

    layout: FileLayout
    is_local: bool


def refuse_other_clock(
    where: str, clock: Clock, intervals: pd.DataFrame, seconds: NDArray[np.float64], recording: str
) -> None:
    """Refuse intervals of which half and more have no sample, as where their times are of another unit or clock.

    Args:
        where: File of the intervals, for messages.
        clock: The clock of its times.
        intervals: Those of the recording, with ``start`` and ``end``.
        seconds: Time of each sample (time,).
        recording: Name of the recording.

    Raises:
        BadRecordingError: if they are of another clock, or none has a sample.
    """
    first, last = float(np.nanmin(seconds)), float(np.nanmax(seconds))
    starts, ends = intervals["start"].to_numpy(), intervals["end"].to_numpy()

    def share(factor: float = 1.0, shift: float = 0.0) -> float:
        moved = starts * factor + shift
        # Times of a unit that is too small all have samples, but within a moment.
        is_spread = np.ptp(moved) + (last - first) * (len(moved) == 1) > _SPREAD * (last - first)
        return float(((moved <= last) & (ends * factor + shift > first)).mean()) * bool(is_spread)

    now, layout = share(), clock.layout
    if now > _USUAL or not np.isfinite([first, last]).all():
        return
    cures = {
        f"Write 'timestamp: {{unit: {unit}}}'": share(size / layout.timestamp.scale)
        for unit, size in TIME_UNITS.items()
    }
    if not (isinstance(layout, Intervals) and layout.relative):
        cures["Write 'relative: true', as they seem to count from its beginning,"] = share(shift=first)
    if now == 0:
        zones = {hours: share(shift=3600.0 * hours) for hours in (*range(-14, 0), *range(1, 15))}
        hours = max(zones, key=lambda hours: zones[hours])
        apart = f"as their clocks are {abs(hours)} h apart"
        # Times that are numbers or have an offset are not changed by a time zone.
        of_others = (
            f"Write 'timestamp: {{timezone: ...}}' of the recordings in {DESCRIPTION_FILE} if their times are dates "
            f"without an offset, else shift those of the intervals, {apart}"
        )
        cures[f"Write 'timestamp: {{timezone: ...}}' {apart}," if clock.is_local else of_others] = zones[hours]
    best = max(cures, key=lambda cure: cures[cure])
    if cures[best] > max(_USUAL, now) or now == 0:
        cure = (
            f"{best}{'' if DESCRIPTION_FILE in best else f' {UNDER}'}"
            if cures[best] > _USUAL
            else "Compare their times with the time stamps"
        )
        raise BadRecordingError(
            f"{where}: {round((1 - now) * len(starts))} of {len(starts)} intervals have no sample in recording "
            f"'{recording}'; they begin at {starts.min():.10g} s, the recording lasts from {first:.10g} to {last:.10g} "
            f"s. {cure}."
        )


def refuse_shown_twice(seconds: NDArray[np.float64], zone: str, table: Table, first: int) -> None:
    """Refuse local times of an hour that the clock shows twice: nobody knows which of the two is meant.

    Raises:
        BadRecordingError: if one of the times is of such an hour.
    """
    local = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True)).tz_convert(zone).tz_localize(None)
    told = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if not (twice := told.isna() & ~local.isna()).any():
        return
    row = int(np.flatnonzero(twice)[0])
    earlier = local[row].tz_localize(zone, ambiguous=True).isoformat()
    raise BadRecordingError(
        f"{table.place.where}, row {table.line(first + row)}: the clock of {zone} shows {local[row]} twice. Write "
        f"times with their offsets, such as {earlier}."
    )
