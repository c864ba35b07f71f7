"""How far windows are from those that a recogniser was trained on, in means and deviations of their channels.

A mean of an acceleration has the direction of gravity, and both numbers have the unit. Windows in other units, or of a
sensor that was turned over, are therefore far from all training windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_STORED = 1000  # training windows at most
_LEAST_DEVIATION = 1e-6  # in the channel's unit; a sensor that is off has none, which has no logarithm
_RANGE = (0.05, 0.95)  # quantiles of a statistic whose difference is its unit
_WITHIN = 0.99  # share of the windows of people who were held out that are as near as the threshold
_LEAST_THRESHOLD = 1e-3  # where all windows are the same, apart from rounding
_USUAL = 0.5  # share of a recording without a warning: people differ, and move between the activities of the model
_MOST, _NAMED = 0.8, 3  # as many channels are named as make up this share of the differences, and no more
_AT_ONCE = 1024  # windows that are compared at once


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of training windows, and the differences from them that count as large.

    Attributes:
        statistics: Of each stored window, the mean and the log-deviation of its channels: float32
            (windows, 2 x channels).
        scale: The difference in each statistic that makes a distance of 1 by itself: float32 (2 x channels,).

    Raises:
        ValueError: if the arrays do not fit one another, or have values that are no differences.
    """

    statistics: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        for values, dimensions in ((self.statistics, 2), (self.scale, 1)):
            if values.dtype != np.float32 or values.ndim != dimensions or not np.isfinite(values).all():
                raise ValueError(f"a reference has float32 statistics that are finite, not {values.dtype}")
        if not len(self.statistics) or self.scale.shape != self.statistics.shape[1:] or (self.scale <= 0).any():
            raise ValueError(f"statistics {self.statistics.shape} with a scale {self.scale.shape}, or one that is 0")

    @classmethod
    def of(
        cls,
        signals: NDArray[np.float32],
        people: NDArray[np.object_],
        training: NDArray[np.int64],
        held_out: NDArray[np.int64],
    ) -> Reference | None:
        """Return the reference of some windows.

        At most 1,000 training windows are stored, as many of each person as of any other as far as there are; their
        activities are not looked at, as they may have no labels. A statistic is divided by the range of the middle
        90 % of its values in the stored windows. Windows are near if they are as near as 99 % of those of people who
        were held out. Few people say little about how much people differ, so these are both the people who were held
        out of training and the training people, each compared with the others: the larger of the two distances
        counts.

        Args:
            signals: All windows, as measured (windows, time, channels).
            people: The person of each window (windows,).
            training: Indices of the training windows.
            held_out: Indices of windows of people who were held out; possibly none.

        Returns:
            The reference, or None where nobody was held out and the training windows are of one person.
        """
        chosen = training[_draw_evenly(people[training])]
        statistics = window_statistics(signals[chosen])
        unit = _ranges(statistics) * np.sqrt(statistics.shape[1])
        unlimited = cls(statistics.astype(np.float32), unit.astype(np.float32))
        limits = []
        if len(held_out):
            limits.append(np.quantile(distances_of(unlimited.differences(signals[held_out])), _WITHIN))
        same = people[chosen][:, None] == people[chosen][None, :]
        if not same.all():
            stored = statistics / unit
            others = stored[_nearest(stored, stored, left_out=same)]
            limits.append(np.quantile(np.linalg.norm(stored - others, axis=1), _WITHIN))
        if not limits:
            return None
        threshold = max(*limits, _LEAST_THRESHOLD)
        return replace(unlimited, scale=(unit * threshold).astype(np.float32))

    @property
    def typical(self) -> NDArray[np.float64]:
        """Samples that are usual in the stored windows, mean plus and minus deviation: (2 x windows, channels)."""
        means, deviations = np.split(self.statistics.astype(np.float64), 2, axis=1)
        return np.concatenate([means - np.exp(deviations), means + np.exp(deviations)])

    def differences(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how raw ``windows`` (windows, time, channels) differ from the nearest stored ones.

        Returns:
            Squared differences by channel (windows, channels); :func:`distances_of` sums them up.
        """
        stored = self.statistics / self.scale.astype(np.float64)
        parts = [np.empty((0, windows.shape[2]))]
        for first in range(0, len(windows), _AT_ONCE):
            own = window_statistics(windows[first : first + _AT_ONCE]) / self.scale
            squared = (own - stored[_nearest(own, stored)]) ** 2
            parts.append(squared.reshape(len(own), 2, -1).sum(axis=1))
        return np.concatenate(parts)


class UnlikeTraining:
    """How much of a recording is unlike the training windows, and in which channels.

    Args:
        channels: Names of the channels.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = channels
        self._known = self._unlike = 0.0  # seconds
        self._distance = 0.0  # times seconds
        self._shares = np.zeros(len(channels))  # times seconds

    def add(self, seconds: NDArray[np.float64], differences: NDArray[np.float64]) -> None:
        """Add rows of a timeline: their ``seconds`` (rows,), and ``differences`` (rows, channels), NaN if unknown."""
        distances = distances_of(differences)
        unlike = distances > 1
        self._known += float(seconds[np.isfinite(distances)].sum())
        self._unlike += float(seconds[unlike].sum())
        self._distance += float(seconds[unlike] @ distances[unlike])
        self._shares += seconds[unlike] @ (differences[unlike] / distances[unlike, None] ** 2)

    def describe(self, what: str) -> str | None:
        """Return a sentence on ``what`` was added, if more of it is unlike the training windows than is usual."""
        if self._unlike <= _USUAL * self._known:
            return None
        order = np.argsort(-self._shares, kind="stable")[:_NAMED]
        enough = np.searchsorted(self._shares[order].cumsum(), _MOST * self._unlike) + 1
        channels = ", ".join(self._channels[index] for index in order[:enough])
        return (
            f"{100 * self._unlike / self._known:.0f} % of {what} is unlike the training data (mean distance "
            f"{self._distance / self._unlike:.3g}, mostly in {channels}): check units and axes."
        )


def distances_of(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances (windows,) of ``differences`` by channel (windows, channels).

    A window whose distance is above 1 is unlike the training windows.
    """
    distances: NDArray[np.float64] = np.sqrt(differences.sum(axis=1))
    return distances


def window_statistics(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return mean and logarithm of the standard deviation of each channel (windows, 2 x channels).

    Args:
        windows: Raw windows (windows, time, channels).
    """
    means = windows.mean(axis=1, dtype=np.float64)
    deviations = windows.std(axis=1, dtype=np.float64)
    return np.concatenate([means, np.log(np.maximum(deviations, _LEAST_DEVIATION))], axis=1)


def _draw_evenly(people: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return at most 1,000 indices, drawn at random with a fixed seed: the same number of each person if there are."""
    order = np.random.default_rng(0).permutation(len(people))
    turn = np.empty(len(people), np.int64)  # 0 for the first that is drawn of each person, 1 for the second, ...
    for person in np.unique(people):
        own = order[people[order] == person]
        turn[own] = np.arange(len(own))
    return np.sort(order[np.argsort(turn[order], kind="stable")[:_STORED]])


def _ranges(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the range of each statistic's middle values; of all, or 1, where these are equal."""
    low, high = np.quantile(statistics, _RANGE, axis=0)
    whole = np.ptp(statistics, axis=0)
    ranges: NDArray[np.float64] = np.select([high > low, whole > 0], [high - low, whole], 1.0)
    return ranges


def _nearest(
    own: NDArray[np.float64], stored: NDArray[np.float64], left_out: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Return the index of the stored row that is nearest to each own one; those ``left_out`` (own, stored) are not."""
    # |a - b|² = |a|² - 2ab + |b|², of which |a|² is the same for all stored rows.
    squared = (stored**2).sum(axis=1) - 2 * own @ stored.T
    if left_out is not None:
        squared[left_out] = np.inf
    nearest: NDArray[np.intp] = squared.argmin(axis=1)
    return nearest
