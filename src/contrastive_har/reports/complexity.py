"""Complexity of recognisers in the report, beside what was published."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import pandas as pd

from contrastive_har.models.complexity import BATCH

Row = tuple[str, str, list[str]]
"""Method, evaluation, and as text: parameters, megabytes, millions of multiply-adds, ms per batch, ms per window."""


def complexity_rows(measured: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str]) -> list[Row]:
    """Return the rows of the table of complexity.

    Args:
        measured: Complexity by method and evaluation.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
    """
    rows = []
    for row in measured.itertuples(index=False):
        size = [f"{row.parameters:,}", f"{row.state_bytes / 1e6:,.3f}"]
        cost = [f"{row.multiply_adds / 1e6:,.3f}", f"{row.milliseconds:,.1f}", f"{row.milliseconds / BATCH:.3f}"]
        rows.append((methods[row.method], evaluations[row.evaluation], [*size, *cost]))
    return rows


def published_rows(protocol: str) -> list[Row]:
    """Return the published rows of a protocol, with their sources in place of evaluations."""
    with (
        resources.files("contrastive_har.reports")
        .joinpath("data/published_complexity.csv")
        .open(encoding="utf-8") as file
    ):
        table = pd.read_csv(file)
    return [
        (row.method, row.source, [f"{row.parameters:,}", f"{row.megabytes:,.3f}", "–", f"{row.milliseconds:,.1f}", "–"])
        for row in table[table["protocol"] == protocol].itertuples(index=False)
    ]
