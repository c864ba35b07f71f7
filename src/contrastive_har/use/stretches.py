"""Uninterrupted stretches of samples: resampling, windows, smoothed values of the windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.rates import Resampler


@dataclass(frozen=True)
class Rows:
    """Rows of an uninterrupted stretch: start and end in samples of the model's rate, and values (rows, columns)."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    values: NDArray[np.float64]


class Stretch:
    """Samples without a gap: resampled, cut into windows, evaluated, smoothed.

    The rows cover the stretch without overlap: the values of a window, such as probabilities, apply to the time around
    its middle. The last window ends with the stretch.
    """

    def __init__(
        self,
        resampler: Resampler,
        length: int,
        stride: int,
        half: int,
        evaluate: Callable[[NDArray[np.float32]], NDArray[np.float64]],
        columns: int,
    ) -> None:
        self._resampler = resampler
        self._length, self._stride, self._half = length, stride, half
        self._evaluate = evaluate
        self._samples: NDArray[np.float32] | None = None
        self._first = 0  # position of the first of these samples
        self._next = 0  # position of the next window
        self._covered = 0.0  # position up to which there are rows
        self._rows = Rows(np.empty(0), np.empty(0), np.empty((0, columns)))
        self._returned = 0  # number of these rows that were returned already and only smooth the next ones

    def push(self, seconds: NDArray[np.float64], samples: NDArray[np.float64]) -> Rows:
        """Add samples; return the rows that are complete."""
        self._add(self._resampler.push(seconds, samples))
        return self._smooth(ready=len(self._rows.end) - self._half)

    def finish(self) -> Rows:
        """Return the remaining rows."""
        if self._samples is None:
            return self._rows
        self._add(self._resampler.finish())
        end = self._first + len(self._samples)
        if end < self._length:
            unknown = np.full((1, self._rows.values.shape[1]), np.nan)
            return Rows(np.zeros(1), np.full(1, float(end)), unknown)
        if self._covered < end:
            self._append(np.array([float(end)]), self._samples[None, -self._length :])
        return self._smooth(ready=len(self._rows.end))

    def _add(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples if self._samples is None else np.concatenate([self._samples, samples])
        end = self._first + len(self._samples)
        starts = np.arange(self._next, end - self._length + 1, self._stride)
        if len(starts):
            views = np.lib.stride_tricks.sliding_window_view(self._samples, self._length, axis=0)
            windows = views[starts - self._first].transpose(0, 2, 1)
            self._append((starts + (self._length + self._stride) / 2).astype(np.float64), windows)
            self._next = int(starts[-1]) + self._stride
        drop = max(0, min(self._next, end - self._length) - self._first)
        self._samples = self._samples[drop:]
        self._first += drop

    def _append(self, end: NDArray[np.float64], windows: NDArray[np.float32]) -> None:
        start = np.concatenate([[self._covered], end[:-1]])
        self._covered = float(end[-1])
        rows = self._rows
        self._rows = Rows(
            np.concatenate([rows.start, start]),
            np.concatenate([rows.end, end]),
            np.concatenate([rows.values, self._evaluate(windows)]),
        )

    def _smooth(self, ready: int) -> Rows:
        """Return rows up to ``ready``, averaged with their neighbours; discard rows that no later one needs."""
        rows, first = self._rows, self._returned
        indices = np.arange(first, max(ready, first))
        low, high = np.maximum(indices - self._half, 0), np.minimum(indices + self._half + 1, len(rows.end))
        # Not differences of cumulative sums, in which one huge value would make those after it inexact.
        padded = np.pad(rows.values, ((self._half, self._half), (0, 0)))
        totals = sum(padded[first + shift : first + shift + len(indices)] for shift in range(2 * self._half + 1))
        means = totals / (high - low)[:, None]
        done = Rows(rows.start[indices], rows.end[indices], means)
        keep = max(0, first + len(indices) - self._half)
        self._returned = first + len(indices) - keep
        self._rows = Rows(rows.start[keep:], rows.end[keep:], rows.values[keep:])
        return done
