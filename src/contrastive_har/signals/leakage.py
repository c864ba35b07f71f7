"""The leakage audit: what the test windows share with everything a model has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.splits import SplitSettings
from contrastive_har.signals.windows import Windows

SHARED = ("raw_samples", "windows", "subjects")


class LeakageError(RuntimeError):
    """A split that claims to be leak-free shares data between test and another role."""


def count_leakage(windows: Windows, splits: pd.DataFrame, settings: Mapping[str, SplitSettings]) -> dict[str, Any]:
    """Count what test shares with each other role, per split, the worst case over repeats and label fractions.

    Returns:
        ``{split: {leak_free, test: {raw_samples, windows, subjects}, shared_with: {role: {...}}}}`` where the counts
        under ``test`` say how large the test set itself is.
    """
    subjects = windows.table["subject"].to_numpy()
    covers = _SampleCover(windows)
    report: dict[str, Any] = {}
    for name, split in settings.items():
        rows = splits[splits["split"] == name]
        totals = dict.fromkeys(SHARED, 0)
        shared: dict[str, dict[str, int]] = {}
        for (repeat, _), test_rows in rows[rows["role"] == "test"].groupby(["repeat", "label_fraction"]):
            test = test_rows["window"].to_numpy()
            test_cover = covers.of(test)
            _raise_to(totals, (int(test_cover.sum()), len(test), len(np.unique(subjects[test]))))
            same_repeat = rows[rows["repeat"] == repeat]
            fraction = test_rows["label_fraction"].iloc[0]
            seen = same_repeat[same_repeat["label_fraction"].isna() | (same_repeat["label_fraction"] == fraction)]
            for role, other_rows in seen[seen["role"] != "test"].groupby("role"):
                other = other_rows["window"].to_numpy()
                counts = (
                    int((test_cover & covers.of(other)).sum()),
                    len(np.intersect1d(test, other)),
                    len(np.intersect1d(subjects[test], subjects[other])),
                )
                _raise_to(shared.setdefault(str(role), dict.fromkeys(SHARED, 0)), counts)
        report[name] = {"leak_free": split.leak_free, "test": totals, "shared_with": shared}
    return report


def require_leak_free(report: Mapping[str, Any]) -> None:
    """Fail if a split that claims to be leak-free is not.

    Raises:
        LeakageError: naming the split, the role and the counts.
    """
    for name, split in report.items():
        for role, counts in split["shared_with"].items():
            if split["leak_free"] and any(counts.values()):
                found = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
                raise LeakageError(
                    f"Split '{name}' claims to be leak-free, but its test set shares {found} with role '{role}'. "
                    "Correct the split, or declare leak_free: false."
                )


class _SampleCover:
    """Marks which raw samples a set of windows covers, on one axis that strings all recordings together."""

    def __init__(self, windows: Windows) -> None:
        starts = windows.table["start"].to_numpy()
        recordings, index = np.unique(windows.table["recording"].to_numpy().astype(str), return_inverse=True)
        ends = np.zeros(len(recordings), np.int64)
        np.maximum.at(ends, index, starts + windows.length)
        offsets = np.concatenate([[0], np.cumsum(ends)])
        self._positions = offsets[index] + starts
        self._length = windows.length
        self._samples = int(offsets[-1])

    def of(self, members: NDArray[np.int64]) -> NDArray[np.bool_]:
        steps = np.zeros(self._samples + 1, np.int64)
        np.add.at(steps, self._positions[members], 1)
        np.add.at(steps, self._positions[members] + self._length, -1)
        return np.cumsum(steps[:-1]) > 0


def _raise_to(counts: dict[str, int], values: tuple[int, int, int]) -> None:
    for key, value in zip(SHARED, values, strict=True):
        counts[key] = max(counts[key], value)
