"""MMAct (Kong et al. 2019), trimmed clips: a phone, a watch, and the poses that camera 1 shows.

The sensors' files are ``<sensor>/subject<n>/scene<n>/session<n>/<activity>.csv``, with a time, three numbers and in
some files a header. The poses' files are ``<activity>.json`` in folders of the same names, with a folder ``cam1``
above or between them, as in ``pose/cross_view/trainval/subject1/cam1/scene1/session1``; the publishers document the
sensors' folders only. Names of activities differ in capitals. Clips that lack any of the five files are rejected.

All streams are put on one clock of 50 Hz, cropped to what all sensors have. If the time stamps of all sensors run
forward at about the nominal rate without a gap, and overlap, they give the times; otherwise each sensor is stretched to
the shortest of them, counted at its nominal rate. The log says which clips that were. Poses have no times: the
first is at the first sample of any sensor, and the last at the last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.archive import Member, find_members
from contrastive_har.sources.candidate import Candidate, File
from contrastive_har.sources.clocks import are_storable, interpolate, nearest, resample
from contrastive_har.sources.columns import read_csv
from contrastive_har.sources.poses import read_poses

# Nominal rates of the sensors by folder, in the order of the description.
_RATES = {"acc_phone_clip": 100.0, "acc_watch_clip": 100.0, "gyro_clip": 50.0, "orientation_clip": 50.0}
_ANGLES = "orientation_clip"
_POSES = "poses"

_CLIP = r"subject(\d+)/(?:cam1/)?scene(\d+)/(?:cam1/)?session(\d+)/(?:cam1/)?([^/]+)"
_SENSOR_FILE = rf"(?:.*/)?({'|'.join(_RATES)})/{_CLIP}\.csv"
_POSE_FILE = rf"(?=(?:.*/)?cam1/)(?:.*/)?{_CLIP}\.json"

_STAMP = "%Y%m%d_%H:%M:%S.%f"
_LONGEST_GAP = 0.1  # seconds between samples, as in the publishers' toolkit
_LEAST_OVERLAP = 0.5  # of the longest stream


class _Clip(NamedTuple):
    subject: int
    scene: int
    session: int
    activity: str

    @classmethod
    def of(cls, subject: str, scene: str, session: str, activity: str) -> _Clip:
        return cls(int(subject), int(scene), int(session), " ".join(activity.lower().replace("_", " ").split()))


@dataclass(frozen=True)
class _Stream:
    """Values (time, 3) of one sensor and their times in seconds (time,)."""

    seconds: NDArray[np.float64]
    values: NDArray[np.float64]


def files(folder: Path, description: DatasetDescription) -> Iterator[File]:
    """Find the files; those of four sensors and of the poses hold one clip of one activity of one subject."""
    clips: dict[_Clip, dict[str, Member]] = {}
    for member in find_members(folder, _SENSOR_FILE, description):
        sensor, *parts = member.parts
        clips.setdefault(_Clip.of(*parts), {}).setdefault(sensor, member)
    for member in find_members(folder, _POSE_FILE, description, part="poses of camera 1"):
        clips.setdefault(_Clip.of(*member.parts), {}).setdefault(_POSES, member)
    for clip, members in sorted(clips.items()):
        where = next(iter(members.values())).where
        name = f"subject {clip.subject}, scene {clip.scene}, session {clip.session}, {clip.activity}"
        yield Candidate(name, where, partial(_load, clip, members, name, description))


def _load(clip: _Clip, members: Mapping[str, Member], name: str, description: DatasetDescription) -> Recording:
    where = next(iter(members.values())).where
    codes = {title: code for code, title in description.activities.items()}
    if clip.activity not in codes:
        raise BadRecordingError(f"{where}: unknown activity '{clip.activity}'. Remove it, or name it as MMAct does.")
    if missing := [part for part in (*_RATES, _POSES) if part not in members]:
        raise BadRecordingError(f"{where}: this clip has no file of {missing[0]}. Add it, or leave the clip out.")
    samples = _on_one_clock({sensor: members[sensor] for sensor in _RATES}, members[_POSES], description)
    return Recording(
        subject=str(clip.subject),
        name=name,
        sample=np.arange(len(samples)),
        activity=np.full(len(samples), codes[clip.activity], np.int16),
        samples=samples.astype(np.float32),
        groups={"scene": str(clip.scene), "session": str(clip.session)},
    )


def _on_one_clock(sensors: Mapping[str, Member], poses: Member, description: DatasetDescription) -> NDArray[np.float64]:
    """Return all channels (time, channels)."""
    tables = {sensor: _read_table(member) for sensor, member in sensors.items()}
    streams = _by_stamps(tables)
    if streams is None:
        log = logging.getLogger(__name__)
        log.info("%s: the sensors' times cannot be used; they are put together by length", poses.where)
        streams = _by_length(tables)
    starts = [stream.seconds[0] for stream in streams.values()]
    ends = [stream.seconds[-1] for stream in streams.values()]
    rate = description.sampling_rate_hz
    count = int(np.floor((min(ends) - max(starts)) * rate + 1e-3)) + 1  # the tolerance is 20 microseconds
    clock = max(starts) + np.arange(count) / rate
    columns = [_at(clock, streams[sensor], sensor, rate) for sensor in _RATES]
    frames, joints = read_poses(poses)
    whole = np.ptp(frames) or 1.0
    times = min(starts) + (frames - frames[0]) / whole * (max(ends) - min(starts))
    return np.hstack([*columns, interpolate(clock, times, joints)])


def _at(clock: NDArray[np.float64], stream: _Stream, sensor: str, rate: float) -> NDArray[np.float64]:
    """Return a sensor's values at the times of the clock."""
    if sensor == _ANGLES:
        return nearest(clock, stream.seconds, stream.values)
    return resample(clock, stream.seconds, stream.values, _RATES[sensor], rate)


def _read_table(member: Member) -> pd.DataFrame:
    """Read the time stamps, as text, and the numbers of a sensor."""
    table = read_csv(member, header=None, dtype=str)
    if table.shape[1] != 4:
        raise BadRecordingError(f"{member.where}: {table.shape[1]} columns instead of 4. Copy it again.")
    numbers = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    first = int(np.isnan(numbers[0]).all() and table.iloc[0].notna().all())  # a header
    bad = ~are_storable(numbers[first:])
    if bad.any():
        row, column = np.argwhere(bad)[0] + (first, 1)
        raise BadRecordingError(
            f"{member.where}, row {row + 1}: '{table.iloc[row, column]}' is not a finite number. Correct it or copy "
            "the file again."
        )
    if len(numbers) - first < 2:
        raise BadRecordingError(f"{member.where}: fewer than two samples. Copy it again, or leave the clip out.")
    found = pd.DataFrame(numbers[first:])
    found.insert(0, "time", table[0].to_numpy()[first:])
    return found


def _by_stamps(tables: Mapping[str, pd.DataFrame]) -> dict[str, _Stream] | None:
    """Return the streams at the times of their stamps; None if those of any sensor cannot be used."""
    seconds = {sensor: _seconds(table["time"], _RATES[sensor]) for sensor, table in tables.items()}
    known = {sensor: times for sensor, times in seconds.items() if times is not None}
    if len(known) < len(tables):
        return None
    overlap = min(times[-1] for times in known.values()) - max(times[0] for times in known.values())
    if overlap < _LEAST_OVERLAP * max(times[-1] - times[0] for times in known.values()):
        return None
    origin = min(times[0] for times in known.values())
    streams = {}
    for sensor, times in known.items():
        new = np.diff(times, prepend=-np.inf) > 0  # of samples with equal stamps the first
        streams[sensor] = _Stream(times[new] - origin, _values(tables[sensor])[new])
    return streams


def _seconds(stamps: pd.Series, rate: float) -> NDArray[np.float64] | None:
    """Return the times of stamps (time,) in seconds since 1970; None if they do not fit the rate."""
    text = stamps.astype(str).str.strip()
    text = text.where(text.str.contains(".", regex=False), text + ".0")  # whole seconds have no fraction
    times = pd.to_datetime(text, format=_STAMP, errors="coerce")
    if times.isna().any():
        return None
    seconds = ((times - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    steps = np.diff(seconds)
    mean_rate = len(steps) / max(seconds[-1] - seconds[0], 1e-9)
    fits = steps.min() >= 0 and steps.max() <= _LONGEST_GAP and rate / 2 < mean_rate < rate * 2
    return seconds if fits else None


def _by_length(tables: Mapping[str, pd.DataFrame]) -> dict[str, _Stream]:
    """Return the streams with samples evenly spread over the shortest stream's length at its nominal rate."""
    shortest = min((len(table) - 1) / _RATES[sensor] for sensor, table in tables.items())
    return {sensor: _Stream(np.linspace(0, shortest, len(table)), _values(table)) for sensor, table in tables.items()}


def _values(table: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(table.drop(columns="time"), np.float64)
