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
    """Count what test shares with each other role, per split and label fraction, the worst case over repeats.

    Returns:
        ``{split: {leak_free, by_label_fraction: [{label_fraction, windows: {role: count}, test: {raw_samples, windows,
        subjects}, shared_with: {role: {raw_samples, windows, subjects}}}]}}``: how many windows each role has, how
        large the test set is, and how much of it each other role has seen.
    """
    subjects = windows.table["subject"].to_numpy()
    covers = _SampleCover(windows)
    report: dict[str, Any] = {}
    for name, split in settings.items():
        rows = splits[splits["split"] == name]
        by_fraction = []
        for fraction in sorted(rows["label_fraction"].dropna().unique()):
            sizes: dict[str, int] = {}
            total = dict.fromkeys(SHARED, 0)
            shared: dict[str, dict[str, int]] = {}
            seen = rows[rows["label_fraction"].isna() | (rows["label_fraction"] == fraction)]
            for _, same_repeat in seen.groupby("repeat"):
                members = {str(role): mine["window"].to_numpy() for role, mine in same_repeat.groupby("role")}
                test = members["test"]
                test_cover = covers.of(test)
                _raise_to(total, (int(test_cover.sum()), len(test), len(np.unique(subjects[test]))))
                for role, other in members.items():
                    sizes[role] = max(sizes.get(role, 0), len(other))
                    if role != "test":
                        counts = (
                            int((test_cover & covers.of(other)).sum()),
                            len(np.intersect1d(test, other)),
                            len(np.intersect1d(subjects[test], subjects[other])),
                        )
                        _raise_to(shared.setdefault(role, dict.fromkeys(SHARED, 0)), counts)
            by_fraction.append({"label_fraction": fraction, "windows": sizes, "test": total, "shared_with": shared})
        report[name] = {"leak_free": split.leak_free, "by_label_fraction": by_fraction}
    return report


def require_leak_free(report: Mapping[str, Any]) -> None:
    """Fail if a split that claims to be leak-free is not.

    Raises:
        LeakageError: naming the split, the label fraction, the role and the counts.
    """
    for name, split in report.items():
        for audit in split["by_label_fraction"]:
            for role, counts in audit["shared_with"].items():
                if split["leak_free"] and any(counts.values()):
                    found = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
                    raise LeakageError(
                        f"Split '{name}' claims to be leak-free, but with {audit['label_fraction']:.3g} of the labels "
                        f"its test set shares {found} with role '{role}'. Correct the split, or declare "
                        "leak_free: false."
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
