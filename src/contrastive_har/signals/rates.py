"""Resampling of a stream of samples at any rate, also a slightly irregular one, to a regular clock of another rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEAR = 0.05
"""Share by which a rate may be above another without a filter: what it would remove is hardly ever measured."""

_PASSED = 0.9  # share of the new Nyquist frequency that passes the filter
_TAPS = 16  # of the filter, per source sample in an interval of the target rate


class Resampler:
    """Resamples one uninterrupted stretch of samples in pieces; the result does not depend on the pieces.

    If the rate falls by more than ``NEAR``, a linear-phase low-pass filter first removes frequencies that the new rate
    cannot represent. Then values are interpolated linearly between the times of the samples, which allows for small
    irregularities.

    Args:
        source_hz: Nominal rate of the samples.
        target_hz: Rate of the result; its clock starts with the first sample.
    """

    def __init__(self, source_hz: float, target_hz: float) -> None:
        self._step = 1 / target_hz
        self._filter = np.ones(1)
        if source_hz > target_hz * (1 + NEAR):
            taps = 2 * round(_TAPS * source_hz / target_hz / 2) + 1
            from scipy.signal import firwin  # slow to import

            self._filter = firwin(taps, _PASSED * target_hz / 2, fs=source_hz)
        self._delay = len(self._filter) // 2  # samples by which the filter's output lags
        self._state: NDArray[np.float64] | None = None
        self._times = np.empty(0)
        self._values = np.empty((0, 0))
        self._waiting = np.empty(0)  # times of samples that are still inside the filter
        self._returned = 0
        self._start = 0.0

    def push(self, seconds: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float32]:
        """Add samples (time, channels) at ascending ``seconds`` (time,); return the newly resampled ones."""
        if len(seconds) == 0:
            return np.empty((0, samples.shape[1]), np.float32)
        if self._state is None:  # padded at the start with the first sample
            self._start = float(seconds[0])
            self._last = samples[:1]
            self._values = np.empty((0, samples.shape[1]))
            self._state = np.zeros((len(self._filter) - 1, samples.shape[1]))
            self._run(np.repeat(samples[:1], len(self._filter) - 1, axis=0))
            self._skip = self._delay
        self._last = samples[-1:]
        self._waiting = np.concatenate([self._waiting, seconds])
        filtered = self._run(samples)
        skipped = min(self._skip, len(filtered))
        self._skip -= skipped
        return self._interpolate(filtered[skipped:])

    def finish(self) -> NDArray[np.float32]:
        """Return the remaining resampled samples; the end is padded with the last sample."""
        return self._interpolate(self._run(np.repeat(self._last, self._delay, axis=0))[self._skip :])

    def _run(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(self._filter) == 1 or len(samples) == 0:
            return samples
        from scipy.signal import lfilter

        filtered, self._state = lfilter(self._filter, 1.0, samples, axis=0, zi=self._state)
        return np.asarray(filtered)

    def _interpolate(self, filtered: NDArray[np.float64]) -> NDArray[np.float32]:
        """Add filtered samples; return the resampled ones up to the last of them."""
        self._times = np.concatenate([self._times, self._waiting[: len(filtered)]])
        self._waiting = self._waiting[len(filtered) :]
        self._values = np.concatenate([self._values, filtered])
        if len(self._times) == 0:
            return np.empty((0, self._values.shape[1]), np.float32)
        # The tolerance includes a time that equals a sample's time up to rounding.
        reach = int(np.floor((self._times[-1] - self._start) / self._step + 1e-6)) + 1
        wanted = self._start + np.arange(self._returned, max(reach, self._returned)) * self._step
        self._returned = max(reach, self._returned)
        new = np.column_stack([np.interp(wanted, self._times, column) for column in self._values.T])
        self._times, self._values = self._times[-1:], self._values[-1:]
        return new.astype(np.float32)
