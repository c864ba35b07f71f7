"""The leakage audit: what the test windows share with every other role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.groups import units_of_windows
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitSettings
from contrastive_har.signals.windows import Windows


class LeakageError(RuntimeError):
    """A split that is declared leak-free shares data between test and another role."""


def count_leakage(windows: Windows, roles: Roles, split: SplitSettings) -> dict[str, Any]:
    """Count what the test windows share with each other role, per label budget: the worst case over repeats.

    Raw samples, windows and subjects are counted, and the values of the group that the split holds out.

    Returns:
        ``{leak_free, held_out, by_label_budget: [{label_budget, windows: {role: count}, test: {raw_samples, windows,
        subjects, ...}, shared_with: {role: {raw_samples, windows, subjects, ...}}}]}``: the number of windows
        of each role, the size of the test set, and how much of it each other role shares.
    """
    count = _Counter(windows, split)
    audits = []
    for budget in roles.budgets:
        sizes: dict[str, int] = {}
        total: dict[str, int] = {}
        shared: dict[str, dict[str, int]] = {}
        for members in roles.by_repeat(budget):
            test = members.get("test", np.empty(0, np.int64))
            _raise_to(total, count.shared(test, test))
            for role, other in members.items():
                sizes[role] = max(sizes.get(role, 0), len(other))
                if role != "test":
                    _raise_to(shared.setdefault(role, {}), count.shared(test, other))
        audits.append({"label_budget": budget, "windows": sizes, "test": total, "shared_with": shared})
    return {"leak_free": split.leak_free, "held_out": split.held_out, "by_label_budget": audits}


def require_leak_free(report: Mapping[str, Any], split: str) -> None:
    """Fail if a split that is declared leak-free is not.

    If a group other than subjects is held out, subjects may be shared: such a split is meant for that.

    Raises:
        LeakageError: naming the split, the label budget, the role and the counts.
    """
    if not report["leak_free"]:
        return
    tolerated = set() if report["held_out"] in ("subject", "none") else {"subjects"}
    for audit in report["by_label_budget"]:
        for role, counts in audit["shared_with"].items():
            if any(number for what, number in counts.items() if what not in tolerated):
                shared = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in counts.items())
                raise LeakageError(
                    f"Split '{split}' claims to be leak-free, but with the label budget '{audit['label_budget']}' its "
                    f"test set shares {shared} with role '{role}'. Correct the split, or declare leak_free: false."
                )


class _Counter:
    """Counts what two sets of windows share."""

    def __init__(self, windows: Windows, split: SplitSettings) -> None:
        self._covers = _SampleCover(windows)
        self._groups = {"subjects": windows.table["subject"].to_numpy()}
        if split.holds_out and (split.held_out != "subject" or split.within):
            self._groups[f"{split.held_out}s"] = units_of_windows(windows, split.held_out, split.within)

    def shared(self, test: NDArray[np.int64], other: NDArray[np.int64]) -> dict[str, int]:
        return {
            "raw_samples": self._covers.shared(test, other),
            "windows": len(np.intersect1d(test, other)),
            **{name: len(set(values[test]) & set(values[other])) for name, values in self._groups.items()},
        }


class _SampleCover:
    """Counts the raw samples that sets of windows cover, on one axis of all recordings concatenated."""

    def __init__(self, windows: Windows) -> None:
        starts, ends = windows.table["start"].to_numpy(), windows.table["end"].to_numpy()
        recordings, index = np.unique(windows.table["recording"].to_numpy().astype(str), return_inverse=True)
        lengths = np.zeros(len(recordings), np.int64)
        np.maximum.at(lengths, index, ends)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        self._first = offsets[index] + starts
        self._end = offsets[index] + ends

    def count(self, members: NDArray[np.int64]) -> int:
        order = members[np.argsort(self._first[members], kind="stable")]
        first, end = self._first[order], np.maximum.accumulate(self._end[order])
        before = np.concatenate([[0], end[:-1]])  # end of what is covered up to here
        return int((end - np.maximum(first, before)).clip(min=0).sum())

    def shared(self, some: NDArray[np.int64], others: NDArray[np.int64]) -> int:
        return self.count(some) + self.count(others) - self.count(np.concatenate([some, others]))


def _raise_to(counts: dict[str, int], found: Mapping[str, int]) -> None:
    for key, value in found.items():
        counts[key] = max(counts.get(key, 0), value)
