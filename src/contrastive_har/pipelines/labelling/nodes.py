"""Encoders to trials of strategies that choose the windows to label, and recordings to the windows themselves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from contrastive_har.labelling.session import LabellingSession, LabellingSettings
from contrastive_har.labelling.trials import ChoosingPlan, try_strategies
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.protocols import ProtocolSettings, titles
from contrastive_har.reports import figures
from contrastive_har.reports.figures import Figure
from contrastive_har.reports.trials import write_page
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.trials import TRIAL, compare_trials, summarise_trials
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows


def propose_windows(new_recordings: Path, labelling: LabellingSettings) -> pd.DataFrame:
    """Return the next windows of recordings to label, given the answers beside them."""
    return LabellingSession(new_recordings, labelling).table()


def try_on_encoders(
    windows: Windows, roles: Roles, encoders: EncoderSet, plan: ChoosingPlan, compute: ComputeSettings, *, cell: Cell
) -> pd.DataFrame:
    """Try all strategies on the encoders of one cell."""
    titled = plan.model_copy(update={"name": f"{roles.split} {plan.name}"})
    trials = try_strategies(windows, roles, encoders, titled, compute)
    names = {"dataset": windows.description.name, **asdict(cell)}
    return trials.assign(**names)[[*TRIAL, *trials.columns]]


def summarise(
    trials: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summarise the trials, and compare every strategy with the one that the protocol names."""
    reference = reference_of(protocol)
    return summarise_trials(trials, reference, report), compare_trials(trials, reference, report)


def draw_curves(trials_summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against the labelled windows."""
    return figures.draw_trials(trials_summary, titles(protocol.methods), titles(protocol.splits))


def write_report(
    trials_summary: pd.DataFrame, trials_comparisons: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings
) -> str:
    """Write the tables and what follows from them."""
    named = titles(protocol.methods), titles(protocol.splits)
    return write_page(trials_summary, trials_comparisons, *named, 1 - report.confidence)


def reference_of(protocol: ProtocolSettings) -> str:
    """Return the strategy that all others are compared with.

    Raises:
        ValueError: if the protocol tries no strategies.
    """
    if protocol.choosing is None:
        raise ValueError(f"'{protocol.title}' has no strategies to try; write them under 'choosing'")
    return protocol.choosing.compared_with
