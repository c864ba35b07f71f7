"""Calibration of recognisers in the report."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from contrastive_har.reports.tables import in_percent
from contrastive_har.scores.calibration import calibration_error


@dataclass(frozen=True)
class CalibrationRow:
    """One recogniser in the table of calibration errors, as text.

    Attributes:
        modalities: The modalities it needs.
        temperature: Its temperature, or why none was fitted.
        errors: Expected calibration errors in per cent: of validation windows with a temperature of 1 and with its own,
            then of test windows.
    """

    modalities: str
    temperature: str
    errors: tuple[str, ...]


def calibration_rows(bins: pd.DataFrame) -> list[CalibrationRow]:
    """Return one row per recogniser.

    Args:
        bins: Bins of probabilities: columns modalities, role, calibrated, windows, confidence, accuracy, temperature
            and reason.
    """
    rows = []
    for modalities, of_one in bins.groupby("modalities", sort=False):
        first = of_one.iloc[0]
        temperature = f"{first['temperature']:.2f}" if pd.isna(first["reason"]) else f"1: {first['reason']}"
        errors = tuple(
            in_percent(calibration_error(some)) for _, some in of_one.groupby(["role", "calibrated"], sort=False)
        )
        rows.append(CalibrationRow(str(modalities), temperature, errors))
    return rows
