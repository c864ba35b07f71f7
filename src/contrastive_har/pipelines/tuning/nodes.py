"""Windows to trials of settings, and the settings chosen to scores on test windows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from contrastive_har.learning import tuning
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.tuning.plans import TrialPlan
from contrastive_har.protocols import ProtocolSettings, evaluation_titles, require_trainable, titles
from contrastive_har.reports import figures
from contrastive_har.reports.tracked import TrackedRun
from contrastive_har.reports.tuning import describe_tuning, write_page
from contrastive_har.scores import tuning as scoring
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import score
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIAL, ENCODERS = "trial_{}", "trial_{}_encoders"
"""Names of the results of a trial, by its number."""


def try_setting(
    windows: Windows,
    roles: Roles,
    method_check: dict[str, Any],
    plan: TrialPlan,
    compute: ComputeSettings,
    checkpoints: Path,
) -> tuple[pd.DataFrame, EncoderSet]:
    """Try one setting of a row in all repeats, on its validation windows.

    ``method_check`` is an input for the order only: all methods are checked before any is trained.

    Raises:
        IllPosedError: if the method cannot learn from these windows with this setting.
    """
    pretraining, _ = plan.plans(plan.drawn())
    counts = [len(roles.members(repeat, "pretrain")) for repeat in range(pretraining.repeats)]
    require_trainable(pretraining, counts, windows.layout, windows.class_count, compute.processes_in_all)
    return tuning.try_setting(windows, roles, plan, compute, checkpoints)


def choose_settings(*trials: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """Return all trials of a cell, with those marked that the repeats choose on their validation windows."""
    return scoring.choose_settings(pd.concat(trials)).assign(**asdict(cell))


def score_settings(
    windows: Windows, roles: Roles, plan: TrialPlan, compute: ComputeSettings, *, cell: Cell, **artifacts: Any
) -> pd.DataFrame:
    """Score a row as configured and as tuned on its test windows.

    Args:
        windows: All windows.
        roles: Roles of the windows.
        plan: The first trial of the row.
        compute: Device and precision.
        cell: Method and split.
        **artifacts: trials, with those marked that are chosen, and the encoders of each.
    """
    trials = artifacts["trials"]
    encoders = {number: artifacts[ENCODERS.format(number)] for number in trials["trial"].unique()}
    evaluated = tuning.evaluate_settings(windows, roles, plan, trials, encoders, compute)
    subjects, classes = windows.table.set_index("window")["subject"], windows.description.class_names
    names = {"dataset": windows.description.name, **asdict(cell)}
    tables = [
        score(predictions, curves, subjects, classes, **names).assign(setting=setting)
        for setting, (predictions, curves) in evaluated.items()
    ]
    return pd.concat(tables, ignore_index=True)


def summarise(trials: pd.DataFrame, tuned_scores: pd.DataFrame, report: ReportSettings) -> pd.DataFrame:
    """Return the scores of all rows as configured and as tuned, and their differences."""
    return scoring.summarise_tuning(trials, tuned_scores, report)


def draw_rows(tuning_summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw the scores of all rows as configured and as tuned."""
    evaluations = evaluation_titles(protocol, tuning_summary)
    return figures.draw_tuning(tuning_summary, titles(protocol.methods), evaluations, titles(protocol.splits))


def write_report(tuning_summary: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings) -> str:
    """Write the tables and what follows from them."""
    evaluations = evaluation_titles(protocol, tuning_summary)
    named = titles(protocol.methods), evaluations, titles(protocol.splits)
    return write_page(tuning_summary, *named, protocol.fewest_labels.name, report.confidence)


def describe_runs(
    windows: Windows,
    trials: pd.DataFrame,
    tuned_scores: pd.DataFrame,
    tuning_summary: pd.DataFrame,
    protocol: ProtocolSettings,
) -> list[TrackedRun]:
    """Describe one run per row and label budget, for the tracking server."""
    return describe_tuning(windows, trials, tuned_scores, tuning_summary, titles(protocol.methods))
