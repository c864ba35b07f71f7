"""Runs to a table and a page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contrastive_har.reports import run_comparison
from contrastive_har.reports.run_comparison import ComparedRun
from contrastive_har.scores.statistics import ReportSettings


def compare_runs(runs: Sequence[ComparedRun], report: ReportSettings) -> pd.DataFrame:
    """Compare the scores of runs with those of the first."""
    return run_comparison.compare_runs(runs, report)


def write_comparison(runs: Sequence[ComparedRun], compared: pd.DataFrame, report: ReportSettings) -> str:
    """Write a page that compares runs."""
    return run_comparison.render_comparison(runs, compared, report.confidence)
