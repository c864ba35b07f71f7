"""Inference: recordings of any length and rate to a timeline of activities, with few samples in memory at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, field_validator

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tables import check_schema, parquet_writer, read_table, schema_metadata
from contrastive_har.signals.rates import Resampler
from contrastive_har.signals.recordings import LONGEST_STEP, BadRecordingError, Piece, Rejection
from contrastive_har.sources.own.regular import measured_rate
from contrastive_har.strict import StrictModel
from contrastive_har.use.cards import describe_recogniser
from contrastive_har.use.familiarity import UnlikeTraining, distances_of
from contrastive_har.use.recognisers import TrainedRecogniser, recognise
from contrastive_har.use.stretches import Rows, Stretch

KIND = "timeline"
_MEASURED = 1000  # intervals from which the rate of a recording is measured
_SLOW = 0.9  # share of the model's rate, below which recordings lack frequencies that it was trained on


class InferenceSettings(StrictModel):
    """How activities in new recordings are recognised.

    Attributes:
        stride: Seconds from one row of the timeline to the next; null takes the model's.
        smoothing: Neighbouring windows whose probabilities are averaged; 1 averages nothing.
        longest_gap: Seconds without samples that are interpolated; a longer gap divides the recording.
        modalities: Modalities to use, for a recogniser of several; null uses all that the recordings have.
    """

    stride: float | None = Field(default=None, gt=0)
    smoothing: int = Field(default=5, gt=0)
    longest_gap: float = Field(default=0.25, gt=0)
    modalities: tuple[str, ...] | None = None

    @field_validator("modalities", mode="before")
    @classmethod
    def _take_a_single_name(cls, value: Any) -> Any:
        return tuple(value.split("+")) if isinstance(value, str) else value

    @field_validator("smoothing")
    @classmethod
    def _has_a_middle(cls, windows: int) -> int:
        if windows % 2 == 0:
            raise ValueError(f"smoothing is {windows}; an odd number has a window in its middle")
        return windows


@dataclass(frozen=True)
class TimelineRows:
    """Consecutive rows of one recording's timeline.

    Attributes:
        recording: Name of the recording.
        start, end: Seconds since its beginning (rows,).
        probabilities: Probabilities of the activities (rows, classes).
        differences: Squared differences from the nearest training window (rows, channels), NaN where unknown.
    """

    recording: str
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    differences: NDArray[np.float64]


@dataclass(frozen=True)
class Timeline:
    """A timeline that is computed while it is stored.

    Attributes:
        recogniser: The recogniser.
        rows: Starts reading the recordings.
    """

    recogniser: TrainedRecogniser
    rows: Callable[[], Iterator[TimelineRows | Rejection]]


def recognise_recordings(
    pieces: Callable[[], Iterable[Piece | Rejection]], recogniser: TrainedRecogniser, settings: InferenceSettings
) -> Timeline:
    """Plan the timeline of recordings; nothing is read until its rows are.

    Raises:
        ValueError: if the recogniser was trained on clips, or if the stride is longer than a window, which would leave
            out samples.
    """
    if recogniser.architecture.clips:
        raise ValueError(
            "This model was trained on clips, each resampled to the same number of samples, and cannot label "
            "the course of a recording. Pass it one clip at a time, or train with windows of cut: sliding."
        )
    rate = recogniser.description.sampling_rate_hz
    stride = recogniser.stride if settings.stride is None else round(settings.stride * rate)
    if not 1 <= stride <= recogniser.length:
        raise ValueError(
            f"inference.stride is {settings.stride} s; choose one of {1 / rate:g} to {recogniser.length / rate:g} s, "
            "from one sample to one window."
        )
    return Timeline(recogniser, lambda: _rows(pieces(), recogniser, stride, settings))


def _rows(
    pieces: Iterable[Piece | Rejection], recogniser: TrainedRecogniser, stride: int, settings: InferenceSettings
) -> Iterator[TimelineRows | Rejection]:
    network, reference = recogniser.build(), recogniser.reference

    def evaluate(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities, and differences from the training windows (windows, classes + channels)."""
        unknown = np.full((len(windows), windows.shape[2]), np.nan)
        return np.hstack([recognise(network, windows), reference.differences(windows) if reference else unknown])

    current: _Recording | None = None
    held: list[TimelineRows] = []  # of one file: all are dropped if it is left out in the end
    for piece in pieces:
        if isinstance(piece, Rejection):
            if current is not None and piece.file == current.file:
                current, held = None, []
            yield piece
            continue
        if current is not None and (piece.recording, piece.file) != (current.name, current.file):
            held += current.finish()
            if piece.file != current.file:
                yield from held
                held = []
            current = None
        current = current or _Recording(piece, recogniser, stride, settings, evaluate)
        held += current.push(piece)
    yield from (*held, *(current.finish() if current else ()))


class _Recording:
    """One recording, divided where samples are missing."""

    def __init__(
        self,
        first: Piece,
        recogniser: TrainedRecogniser,
        stride: int,
        settings: InferenceSettings,
        evaluate: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    ) -> None:
        self.name, self.file = first.recording, first.file
        self._recogniser, self._stride, self._settings = recogniser, stride, settings
        self._evaluate = evaluate
        self._model_hz = recogniser.description.sampling_rate_hz
        self._hz = first.sampling_rate_hz or 0.0  # 0: not known yet
        self._waiting: list[Piece] = []  # pieces until the rate is known
        self._row = first.row  # row up to which samples have been processed
        self._begin = self._start = float(first.seconds[0])
        self._last = -np.inf
        self._stretch: Stretch | None = None
        self._unlike = UnlikeTraining(recogniser.description.channel_names)

    def push(self, piece: Piece) -> Iterator[TimelineRows]:
        """Add the next samples; yield the rows that are complete."""
        self._waiting.append(piece)
        if self._hz or sum(len(queued.seconds) for queued in self._waiting) > _MEASURED:
            yield from self._take_waiting()

    def finish(self) -> Iterator[TimelineRows]:
        """Yield the remaining rows."""
        yield from self._take_waiting()
        yield from self._end_stretch()
        if text := self._unlike.describe(f"recording '{self.name}'"):
            logging.getLogger(__name__).warning("%s: %s", self.file, text)

    def _take_waiting(self) -> Iterator[TimelineRows]:
        waiting, self._waiting = self._waiting, []
        if waiting and self._stretch is None:
            seconds = np.concatenate([piece.seconds for piece in waiting])[: _MEASURED + 1]
            self._hz = self._hz or measured_rate(seconds) or self._model_hz
            self._warn_if_slow()
        for piece in waiting:
            yield from self._take(piece)

    def _warn_if_slow(self) -> None:
        if self._hz < _SLOW * self._model_hz:
            logging.getLogger(__name__).warning(
                "%s: recording '%s' has %.3g Hz, the model learned from %g Hz: its predictions may be worse.",
                self.file,
                self.name,
                self._hz,
                self._model_hz,
            )

    def _take(self, piece: Piece) -> Iterator[TimelineRows]:
        steps = np.diff(piece.seconds, prepend=self._last)
        if (backward := steps <= 0).any():
            index = int(np.flatnonzero(backward)[0])
            raise BadRecordingError(
                f"{piece.file}, row {piece.row + index}: the time stamp is not later than the one before. Sort the "
                "rows by time and remove duplicates."
            )
        self._last = float(piece.seconds[-1])
        longest = max(self._settings.longest_gap, LONGEST_STEP / self._hz)
        edges = np.unique([0, *np.flatnonzero(steps > longest), len(steps)])
        for start, end in pairwise(edges):
            self._row = piece.row + int(end) - 1
            if self._stretch is None or steps[start] > longest:
                yield from self._end_stretch()
                self._start = float(piece.seconds[start])
                resampler = Resampler(self._hz, self._model_hz)
                shape = self._recogniser.length, self._stride, self._settings.smoothing // 2
                columns = self._recogniser.description.class_count + len(self._recogniser.description.channels)
                self._stretch = Stretch(resampler, *shape, self._recognise, columns)
            yield from self._in_seconds(self._stretch.push(piece.seconds[start:end], piece.samples[start:end]))

    def _recognise(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        try:
            return self._evaluate(windows)
        except ValueError as error:
            raise BadRecordingError(f"{self.file}, recording '{self.name}', up to row {self._row}: {error}") from error

    def _end_stretch(self) -> Iterator[TimelineRows]:
        if self._stretch is not None:
            yield from self._in_seconds(self._stretch.finish())

    def _in_seconds(self, rows: Rows) -> Iterator[TimelineRows]:
        if len(rows.end):
            offset = self._start - self._begin
            start, end = (offset + clock / self._model_hz for clock in (rows.start, rows.end))
            probabilities, differences = np.split(rows.values, [self._recogniser.description.class_count], axis=1)
            self._unlike.add(end - start, differences)
            yield TimelineRows(self.name, start, end, probabilities, differences)


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Write a timeline as Parquet while it is computed.

    Columns: recording, start and end (seconds since its beginning), activity (null if a stretch is shorter than a
    window), probability (of that activity), distance (to the training windows: of the row's window, or the root mean
    square over those that are averaged; null if unknown), unfamiliar (a distance above 1), and ``p(<activity>)`` for
    each. Where the recogniser spells names, ``word(<word>)`` is the probability of all activities whose names have the
    word. Files that are left out are logged and stored with the reasons.

    Raises:
        BadRecordingError: if no recording can be used.
    """
    names = timeline.recogniser.description.class_names
    words = timeline.recogniser.architecture.head.classes_by_word(names)
    types = [("recording", pa.string()), ("start", pa.float64()), ("end", pa.float64())]
    types += [("activity", pa.string()), ("probability", pa.float32()), ("distance", pa.float32())]
    types += [("unfamiliar", pa.bool_()), *((f"p({name})", pa.float32()) for name in names)]
    types += [(f"word({word})", pa.float32()) for word in words]
    facts = json.dumps(describe_recogniser(timeline.recogniser))
    schema = pa.schema(types, metadata=schema_metadata(KIND, recogniser=facts))
    left_out: list[str] = []
    is_empty = True
    with parquet_writer(path, schema) as (writer, entries):
        for rows in timeline.rows():
            if isinstance(rows, Rejection):
                level = logging.INFO if rows.passed_over else logging.WARNING
                logging.getLogger(__name__).log(level, "%s", rows.reason)
                left_out += [] if rows.passed_over else [rows.reason]
                continue
            is_empty = False
            known = np.isfinite(rows.probabilities).all(axis=1)
            best = np.where(known, np.nan_to_num(rows.probabilities).argmax(axis=1), -1)
            frame = pd.DataFrame({"recording": rows.recording, "start": rows.start, "end": rows.end})
            frame["activity"] = [names[index] if index >= 0 else None for index in best]
            frame["probability"] = rows.probabilities.max(axis=1).astype(np.float32)
            frame["distance"] = distances_of(rows.differences).astype(np.float32)
            frame["unfamiliar"] = frame["distance"] > 1
            for name, column in zip(names, rows.probabilities.T.astype(np.float32), strict=True):
                frame[f"p({name})"] = column
            for word, classes in words.items():
                frame[f"word({word})"] = rows.probabilities[:, classes].sum(axis=1).astype(np.float32)
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
        entries["left_out"] = json.dumps(left_out)
    if is_empty:
        raise BadRecordingError("\n".join(["No recording can be used:", *left_out]))


def read_timeline(path: Path) -> pd.DataFrame:
    """Read a timeline back; ``attrs["left_out"]`` has the reasons why files were left out.

    Raises:
        SchemaError: if the file is not a timeline of this schema version.
    """
    table = read_table(path, KIND)
    with refuse_broken(path, KIND):
        table.attrs["left_out"] = json.loads(check_schema(path, KIND)["left_out"])
    return table
