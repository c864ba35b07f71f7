"""Cutting recordings into windows: sliding windows of a fixed stride, or one window per clip."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from contrastive_har.signals.arrays import edges
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.engines import LOCAL, EngineSettings
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.windows import WindowBatch, WindowStream
from contrastive_har.strict import StrictModel

_SHORTEST_CLIP = 2  # samples: fewer cannot be interpolated
_CHOICES: Mapping[str, Callable[[DatasetDescription, Any], DatasetDescription]] = {
    "modalities": DatasetDescription.regrouped,
    "activities": DatasetDescription.recognising,
}


class WindowSettings(StrictModel):
    """How recordings are cut.

    Every window lies inside one recording, one activity and no gap; a centred one may reach into other activities.

    Attributes:
        cut: ``sliding`` cuts a window every ``stride``; ``clips`` makes one window of each uninterrupted run of one
            activity, resampled to ``length`` samples.
        length: Length of a window, in ``unit``; of a clip, in samples.
        stride: Step from one sliding window to the next, in ``unit``; half the length gives 50 % overlap.
        short_runs: What becomes of runs of one activity that are shorter than a sliding window: ``drop`` leaves them
            out; ``centre`` makes one window of each, with the run in its middle and what was recorded before and after
            it at its sides. Where the recording begins or ends, or has a gap, the window is shifted; there is none
            where less than a window was recorded without a gap.
        unit: ``samples`` or ``seconds``.
        keep_unlabelled: Also cut unlabelled samples; their windows are used for pre-training only.
        modalities: Sensors by modality, to group channels in another way than the data set's description; sensors that
            are not named are left out. Empty keeps the description's.
        activities: Activities to recognise instead of those of the data set's description, by name; ``all`` for every
            activity it names; null keeps the description's.
    """

    cut: Literal["sliding", "clips"] = "sliding"
    length: float = Field(gt=0)
    stride: float | None = Field(default=None, gt=0)
    short_runs: Literal["drop", "centre"] = "drop"
    unit: Literal["samples", "seconds"] = "samples"
    keep_unlabelled: bool = False
    modalities: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    activities: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> WindowSettings:
        if self.cut == "sliding" and self.stride is None:
            raise ValueError("sliding windows need a stride")
        if self.cut == "clips" and (self.stride is not None or self.unit != "samples"):
            raise ValueError("clips have a length in samples and no stride")
        if self.cut == "clips" and self.short_runs != "drop":
            raise ValueError("clips are of runs of any length; leave out 'short_runs'")
        return self

    def in_samples(self, sampling_rate_hz: float) -> tuple[int, int]:
        """Return (length, stride) in samples; the stride of clips is their length.

        Raises:
            ValueError: if either is not a whole number of samples of at least one.
        """
        scale = sampling_rate_hz if self.unit == "seconds" else 1.0
        counts = []
        for name, value in (("length", self.length), ("stride", self.length if self.stride is None else self.stride)):
            samples = value * scale
            if round(samples) < 1 or abs(samples - round(samples)) > 1e-6:
                raise ValueError(
                    f"windows.{name} = {value:g} {self.unit} is {samples:g} samples at {sampling_rate_hz:g} Hz; "
                    "choose a whole number of samples."
                )
            counts.append(round(samples))
        return counts[0], counts[1]


def cut_windows(recordings: Recordings, settings: WindowSettings, engine: EngineSettings = LOCAL) -> WindowStream:
    """Plan the windows of all recordings; nothing is read until the stream is consumed.

    Raises:
        ValueError: if the description lacks a sensor of ``settings.modalities`` or an activity of
            ``settings.activities``, or lengths are no whole samples.
    """
    known = recordings.description.channel_names
    description = _as_chosen(recordings.description, settings)
    channels = [known.index(name) for name in description.channel_names] if settings.modalities else None
    length, stride = settings.in_samples(description.sampling_rate_hz)
    activities = list(description.recognised) + ([UNLABELLED] if settings.keep_unlabelled else [])
    plan = _Cut(length, stride, activities, channels, centre=settings.short_runs == "centre")
    cut = partial(_cut_one, plan=plan, clips=settings.cut == "clips")
    return WindowStream(description, length, stride, lambda: engine.map(cut, recordings))


def _as_chosen(description: DatasetDescription, settings: WindowSettings) -> DatasetDescription:
    """Return the description with the modalities and activities that the settings choose."""
    for key, change in _CHOICES.items():
        if chosen := getattr(settings, key):
            try:
                description = change(description, chosen)
            except ValueError as error:
                raise ValueError(f"windows.{key} does not suit '{description.name}': {error}.") from error
    return description


@dataclass(frozen=True)
class _Cut:
    """How to cut one recording.

    Attributes:
        length: Samples in a window.
        stride: Samples from one window to the next.
        activities: Codes of the runs to cut.
        channels: Indices of the channels to keep; None keeps all.
        centre: Whether a run shorter than a window gets a window around it.
    """

    length: int
    stride: int
    activities: Sequence[int]
    channels: Sequence[int] | None = None
    centre: bool = False

    def runs(self, recording: Recording) -> Iterator[tuple[int, int]]:
        """Find the runs of one activity without a gap: indices of their first sample and of the one after the last."""
        breaks = (np.diff(recording.sample) != 1) | (np.diff(recording.activity) != 0)
        for begin, end in pairwise(edges(breaks, len(recording.sample))):
            if begin < end and recording.activity[begin] in self.activities:
                yield begin, end

    def grids(self, recording: Recording) -> Iterator[tuple[int, Sequence[int]]]:
        """Find the sliding windows of each run: the indices of the run's and of each window's first sample."""
        gaps = edges(np.diff(recording.sample) != 1, len(recording.sample))
        for begin, end in self.runs(recording):
            if end - begin >= self.length or not self.centre:
                yield begin, range(begin, end - self.length + 1, self.stride)
                continue
            after = bisect_right(gaps, begin)
            first, last = gaps[after - 1], gaps[after] - self.length
            centred = begin + (end - begin - self.length) // 2
            yield begin, [min(max(centred, first), last)] if first <= last else []


def _cut_one(recording: Recording, plan: _Cut, clips: bool) -> list[WindowBatch]:
    if plan.channels is not None:
        recording = replace(recording, samples=recording.samples[:, list(plan.channels)])
    return [_cut_clips(recording, plan) if clips else _cut_sliding(recording, plan)]


def cut_recording(
    recording: Recording, length: int, stride: int, activities: Sequence[int], centre_short_runs: bool = False
) -> WindowBatch:
    """Cut one recording into sliding windows; each run of one activity without a gap starts its own grid.

    Args:
        recording: The recording.
        length: Samples in a window.
        stride: Samples from one window's start to the next within a run.
        activities: Codes of the runs to cut.
        centre_short_runs: Whether a run shorter than a window gets a window around it.
    """
    return _cut_sliding(recording, _Cut(length, stride, activities, centre=centre_short_runs))


def cut_clips(recording: Recording, length: int, activities: Sequence[int]) -> WindowBatch:
    """Make one window of each run of one activity without a gap, resampled to ``length`` samples.

    Resampling is by the discrete Fourier transform, as in the released code of CMC-CMKM.

    Args:
        recording: The recording.
        length: Samples in a window.
        activities: Codes of the runs to cut.
    """
    return _cut_clips(recording, _Cut(length, length, activities))


def _cut_sliding(recording: Recording, plan: _Cut) -> WindowBatch:
    length = plan.length
    found = [(begin, start) for begin, grid in plan.grids(recording) for start in grid]
    runs, starts = np.array(found, np.int64).reshape(-1, 2).T
    if len(recording.samples) < length:
        signals = np.empty((0, length, recording.samples.shape[1]), np.float32)
    else:
        views = np.lib.stride_tricks.sliding_window_view(recording.samples, length, axis=0)
        signals = np.ascontiguousarray(views[starts].transpose(0, 2, 1))
    return _batch(recording, starts, starts + length, signals, recording.activity[runs])


def _cut_clips(recording: Recording, plan: _Cut) -> WindowBatch:
    from scipy.signal import resample  # slow to import

    runs = [run for run in plan.runs(recording) if run[1] - run[0] >= _SHORTEST_CLIP]
    clips = [resample(recording.samples[begin:end], plan.length, axis=0) for begin, end in runs]
    signals = np.stack(clips) if clips else np.empty((0, plan.length, recording.samples.shape[1]))
    edges = np.array(runs, np.int64).reshape(-1, 2)
    starts, ends = edges.T
    return _batch(recording, starts, ends, signals.astype(np.float32), recording.activity[starts])


def _batch(
    recording: Recording,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    signals: NDArray[np.float32],
    activity: NDArray[np.int16],
) -> WindowBatch:
    return WindowBatch(
        subject=recording.subject,
        recording=recording.name,
        start=recording.sample[starts],
        end=recording.sample[ends - 1] + 1,
        activity=activity,
        signals=signals,
        groups=recording.groups,
    )
