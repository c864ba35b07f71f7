"""Resampling of a stream: samples at any rate, a little irregular perhaps, to a regular clock of another rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PASSED = 0.9  # share of the new Nyquist frequency that passes the filter
_TAPS = 16  # of the filter, for each sample that becomes part of a new one


class Resampler:
    """Resamples one uninterrupted stretch of samples piece by piece; how it is cut into pieces changes nothing.

    Where the rate falls, a linear-phase low-pass filter first removes what the new rate cannot show. Then values are
    interpolated linearly between the samples' own times, so that small irregularities don't matter.

    Args:
        source_hz: The samples' nominal rate.
        target_hz: The rate of the result, whose clock starts with the first sample.
    """

    def __init__(self, source_hz: float, target_hz: float) -> None:
        self._step = 1 / target_hz
        self._filter = np.ones(1)
        if source_hz > target_hz * (1 + 1e-3):
            taps = 2 * round(_TAPS * source_hz / target_hz / 2) + 1
            from scipy.signal import firwin  # is slow to import

            self._filter = firwin(taps, _PASSED * target_hz / 2, fs=source_hz)
        self._late = len(self._filter) // 2  # samples by which the filter's output lags
        self._state: NDArray[np.float64] | None = None
        self._times = np.empty(0)
        self._values = np.empty((0, 0))
        self._waiting = np.empty(0)  # times of samples that are still inside the filter
        self._made = 0
        self._start = 0.0

    def push(self, seconds: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float32]:
        """Take samples (time, channels) at ascending ``seconds`` (time,); return the new ones known by now."""
        if len(seconds) == 0:
            return np.empty((0, samples.shape[1]), np.float32)
        if self._state is None:  # begin as if the first sample had always been there
            self._start = float(seconds[0])
            self._last = samples[:1]
            self._values = np.empty((0, samples.shape[1]))
            self._state = np.zeros((len(self._filter) - 1, samples.shape[1]))
            self._run(np.repeat(samples[:1], len(self._filter) - 1, axis=0))
            self._skip = self._late
        self._last = samples[-1:]
        self._waiting = np.concatenate([self._waiting, seconds])
        filtered = self._run(samples)
        skipped = min(self._skip, len(filtered))
        self._skip -= skipped
        return self._interpolate(filtered[skipped:])

    def finish(self) -> NDArray[np.float32]:
        """Return what is left, as if the last sample went on."""
        return self._interpolate(self._run(np.repeat(self._last, self._late, axis=0))[self._skip :])

    def _run(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(self._filter) == 1 or len(samples) == 0:
            return samples
        from scipy.signal import lfilter

        filtered, self._state = lfilter(self._filter, 1.0, samples, axis=0, zi=self._state)
        return np.asarray(filtered)

    def _interpolate(self, filtered: NDArray[np.float64]) -> NDArray[np.float32]:
        """Add filtered samples and return the new ones that lie before the last of them."""
        self._times = np.concatenate([self._times, self._waiting[: len(filtered)]])
        self._waiting = self._waiting[len(filtered) :]
        self._values = np.concatenate([self._values, filtered])
        if len(self._times) == 0:
            return np.empty((0, self._values.shape[1]), np.float32)
        # A time that is a sample's own but for rounding must not be lost.
        reach = int(np.floor((self._times[-1] - self._start) / self._step + 1e-6)) + 1
        wanted = self._start + np.arange(self._made, max(reach, self._made)) * self._step
        self._made = max(reach, self._made)
        new = np.column_stack([np.interp(wanted, self._times, column) for column in self._values.T])
        self._times, self._values = self._times[-1:], self._values[-1:]
        return new.astype(np.float32)
