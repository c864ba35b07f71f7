"""Recordings to windows and their roles."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from contrastive_har.protocols import ProtocolSettings, require_evaluable, require_trainable
from contrastive_har.signals import leakage, splits, summaries
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.engines import EngineSettings
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.splits import SplitPlan
from contrastive_har.signals.windows import Windows, WindowStream


def cut(recordings: Recordings, plan: WindowSettings, engine: EngineSettings) -> WindowStream:
    """Cut recordings into windows of one activity each."""
    return cut_windows(recordings, plan, engine)


def summarise_windows(recordings: Recordings, windows: Windows) -> pd.DataFrame:
    """Compare the time of each activity with the windows of it, and warn of those of which much is in none."""
    summary = summaries.summarise_windows(recordings, windows)
    logging.getLogger(__name__).info("%s", summaries.describe_windows(summary))
    for remark in summaries.remarks(summary, windows.length, windows.description.sampling_rate_hz):
        logging.getLogger(__name__).warning("%s", remark)
    return summary


def assign_roles(windows: Windows, plan: SplitPlan) -> Roles:
    """Assign windows to pre-training, training, validation and test, per repeat and label budget of a split."""
    return splits.assign_roles(windows, plan)


def audit_leakage(windows: Windows, roles: Roles, plan: SplitPlan) -> dict[str, Any]:
    """Count what test windows share with every other role; fail if a split declared leak-free is not."""
    report = leakage.count_leakage(windows, roles, plan.split)
    leakage.require_leak_free(report, plan.name)
    return report


def check_methods(windows: Windows, roles: Roles, protocol: ProtocolSettings) -> dict[str, Any]:
    """Check that every method can learn from these windows, before any is trained.

    Args:
        windows: All windows.
        roles: Of one split.
        protocol: Settings of the protocol.

    Returns:
        The fewest pre-training windows and the smallest batch of each method.

    Raises:
        IllPosedError: if a method cannot, or could not with one of the values to try; names the method and the cure.
    """
    counts = [len(roles.members(repeat, "pretrain")) for repeat in range(protocol.repeats)]
    checked = {}
    for method, row in protocol.methods_for(windows.description.name).items():
        protocol.require_modalities(method, windows.layout)
        protocol.require_length(method, windows.layout, windows.description.name)
        plan = protocol.pretraining_plan(method, 0)
        evaluation = protocol.evaluation_plan(method, 0)
        tried = protocol.search.plan(plan, evaluation).examples() if protocol.search else ()
        modalities = plan.backbone.modalities or tuple(windows.layout.modalities)
        for one, its_evaluation in ((plan, evaluation), *tried):
            require_trainable(one, counts, windows.layout, windows.class_count)
            require_evaluable(its_evaluation, windows.layout, modalities, windows.description.class_names)
        needed = row.objective.fewest(windows.class_count)
        smallest = min(row.budget.smallest_batch(count, fewest=needed) for count in counts)
        checked[method] = {"pretraining_windows": min(counts), "smallest_batch": smallest}
    return checked
