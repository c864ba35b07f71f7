"""Neighbouring windows: those of the same recording that start shortly before or after a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.windows import Windows

STRIDES = 2
"""Strides between a window and the farthest that are averaged: five windows in a stretch without borders."""


class Neighbours:
    """Which windows are neighbours: a recording is a sequence, and activities last.

    Args:
        recording: Number of the recording of each window (windows,).
        start: First sample of each window on the recording's clock (windows,).
        reach: Samples between the starts of a window and its farthest neighbours.
    """

    def __init__(self, recording: NDArray[np.int64], start: NDArray[np.int64], reach: int) -> None:
        start = start - start.min(initial=0)
        self.place = recording * (start.max(initial=0) + reach + 1) + start  # recordings are farther apart than reach
        self.reach = reach

    @classmethod
    def of(cls, windows: Windows, strides: int = STRIDES) -> Neighbours:
        """Return the neighbours of windows within some strides; clips have none: each is an execution of its own."""
        table = windows.table
        recording = table.groupby(["subject", "recording"], sort=False).ngroup().to_numpy(np.int64)
        return cls(recording, table["start"].to_numpy(np.int64), 0 if windows.are_clips else strides * windows.stride)

    def spans(self, members: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the order of ``members`` in time, and of each in that order where its neighbours begin and end.

        A window is among its own neighbours.

        Args:
            members: Some windows.
        """
        order = np.argsort(self.place[members], kind="stable")
        place = self.place[members][order]
        first = np.searchsorted(place, place - self.reach, side="left")
        return order, first, np.searchsorted(place, place + self.reach, side="right")

    def average(self, values: NDArray[np.floating], members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the mean of each window's values and those of its neighbours among ``members``.

        Args:
            values: Values (members, columns) of some windows.
            members: Those windows.
        """
        order, first, end = self.spans(members)
        sums = np.concatenate([np.zeros((1, values.shape[1])), values[order].astype(np.float64).cumsum(axis=0)])
        averages = np.empty(values.shape)
        averages[order] = (sums[end] - sums[first]) / (end - first)[:, None]
        return averages
