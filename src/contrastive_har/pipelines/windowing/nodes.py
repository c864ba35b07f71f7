"""Recordings to windows and their roles."""

from __future__ import annotations

from typing import Any

from contrastive_har.protocols import ProtocolSettings, require_trainable
from contrastive_har.signals import leakage, splits
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.engines import EngineSettings
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan
from contrastive_har.signals.windows import Windows, WindowStream


def cut(recordings: Recordings, plan: WindowSettings, engine: EngineSettings) -> WindowStream:
    """Cut recordings into windows of one activity each."""
    return cut_windows(recordings, plan, engine)


def assign_roles(windows: Windows, plan: SplitPlan) -> Roles:
    """Decide which windows pre-train, train, validate and test, for every repeat and label budget of a split."""
    return splits.assign_roles(windows, plan)


def audit_leakage(windows: Windows, roles: Roles, plan: SplitPlan) -> dict[str, Any]:
    """Count what test windows share with every other role; fail where a split wrongly claims to be leak-free."""
    report = leakage.count_leakage(windows, roles, plan.split)
    leakage.require_leak_free(report, plan.name)
    return report


def check_methods(windows: Windows, protocol: ProtocolSettings, **roles: Roles) -> dict[str, Any]:
    """Check that every method can learn from these windows, before any is trained.

    Args:
        windows: All windows.
        protocol: With its methods.
        **roles: Of each split.

    Returns:
        By method, the fewest pre-training windows and the smallest batch.

    Raises:
        IllPosedError: naming the method and the cure.
    """
    counts = [
        len(of_split.members(repeat, "pretrain")) for of_split in roles.values() for repeat in range(protocol.repeats)
    ]
    checked = {}
    for method, row in protocol.methods.items():
        protocol.require_length(method, windows.layout, windows.description.name)
        require_trainable(protocol.pretraining_plan(method, 0), counts, windows.layout, windows.class_count)
        smallest = min(row.budget.smallest_batch(count) for count in counts)
        checked[method] = {"pretraining_windows": min(counts), "smallest_batch": smallest}
    return checked
