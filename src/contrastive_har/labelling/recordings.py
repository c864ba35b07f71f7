"""Recordings without labels: windows to label, and the signal around them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.rates import Resampler
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError, Piece, Rejection
from contrastive_har.signals.windows import Windows
from contrastive_har.sources.own.regular import measured_rate
from contrastive_har.use.new_recordings import open_new_recordings


@dataclass(frozen=True)
class Part:
    """Samples of a recording without a gap, at the rate of the windows.

    Attributes:
        recording: Name of the recording.
        start: Time of the first sample in seconds, on the clock of the recording's time stamps.
        samples: float32 (time, channels).
    """

    recording: str
    start: float
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Unlabelled:
    """The windows of recordings without labels.

    Attributes:
        windows: The windows; a recording counts as its subject, as files without labels need not say one.
        parts: The parts of recordings that they are cut from.
        part: Index of the part of each window (windows,).
        offset: First sample of each window in its part (windows,).
    """

    windows: Windows
    parts: Sequence[Part]
    part: NDArray[np.int64]
    offset: NDArray[np.int64]

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.windows.description.sampling_rate_hz

    def seconds(self, first: int, last: int) -> tuple[float, float]:
        """Return when a window starts and another of its part ends, in seconds by the recording's time stamps."""
        origin = self.parts[self.part[first]].start
        start, end = int(self.offset[first]), int(self.offset[last]) + self.windows.length
        return round(origin + start / self.rate, 6), round(origin + end / self.rate, 6)

    def around(self, first: int, last: int, context: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the samples from one window to another of its part, with ``context`` seconds on both sides.

        Returns:
            Times in seconds from the start of the first window (time,), and samples (time, channels).
        """
        samples, offset = self.parts[self.part[first]].samples, int(self.offset[first])
        beside = round(context * self.rate)
        begin = max(0, offset - beside)
        end = min(len(samples), int(self.offset[last]) + self.windows.length + beside)
        return (np.arange(begin, end) - offset) / self.rate, samples[begin:end]


def read_unlabelled(
    path: Path, description: DatasetDescription, length: int, stride: int, longest_gap: float
) -> Unlabelled:
    """Read a file or a folder of recordings, and cut them into windows.

    Args:
        path: The file or folder.
        description: Channels in their order and units, rate and activities.
        length: Samples in a window.
        stride: Samples from one window to the next.
        longest_gap: Seconds without samples that are interpolated; a longer gap divides a recording.

    Raises:
        BadRecordingError: if no recording has a window, or one has no time stamps: labels find recordings by name and
            time.
    """
    rate = description.sampling_rate_hz
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for piece in open_new_recordings(path, description.channels, rate, longest_gap):
        if isinstance(piece, Piece):
            _require_stamps(piece)
            pieces[piece.recording].append(piece)
        else:
            pieces = defaultdict(list, {name: some for name, some in pieces.items() if some[0].file != piece.file})
            _say(piece)
    parts = [one for name, found in pieces.items() for one in _parts(name, found, rate, longest_gap)]
    starts = [np.arange(0, len(one.samples) - length + 1, stride) for one in parts]
    part = np.repeat(np.arange(len(parts)), [len(of_part) for of_part in starts])
    if not len(part):
        raise BadRecordingError(f"{path}: no recording is as long as a window of {length / rate:g} s.")
    offset = np.concatenate(starts).astype(np.int64)
    names = [parts[index].recording for index in part]
    clock = np.rint([parts[index].start * rate for index in part]).astype(np.int64) + offset
    table = pd.DataFrame({"window": range(len(part)), "subject": names, "recording": names})
    table = table.assign(start=clock, end=clock + length, activity=np.int16(UNLABELLED))
    signals = np.stack([parts[index].samples[at : at + length] for index, at in zip(part, offset, strict=True)])
    return Unlabelled(Windows(description, length, stride, table, signals), parts, part, offset)


def _require_stamps(piece: Piece) -> None:
    # Sensors with files of their own are on a clock that begins with the first sample of all of them.
    if piece.sampling_rate_hz is not None:
        raise BadRecordingError(
            f"{piece.file}: recording '{piece.recording}' has no time stamps, or sensors in files of their own, so "
            "that ingestion could not find its labels. Put all sensors and a column 'timestamp' into one file."
        )


def _say(rejection: Rejection) -> None:
    level = logging.INFO if rejection.passed_over else logging.WARNING
    logging.getLogger(__name__).log(level, "%s", rejection.reason)


def _parts(name: str, pieces: Sequence[Piece], rate: float, longest_gap: float) -> list[Part]:
    seconds = np.concatenate([piece.seconds for piece in pieces])
    samples = np.concatenate([piece.samples for piece in pieces])
    steps = np.diff(seconds)
    source = pieces[0].sampling_rate_hz or measured_rate(seconds) or rate
    gaps = np.flatnonzero(steps > max(longest_gap, LONGEST_STEP / source)) + 1
    parts = []
    for first, end in pairwise([0, *gaps.tolist(), len(seconds)]):
        resampler = Resampler(source, rate)
        values = [resampler.push(seconds[first:end], samples[first:end]), resampler.finish()]
        parts.append(Part(name, float(seconds[first]), np.concatenate(values)))
    return parts
