"""The recogniser that a protocol chooses and registers, for readers who want to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from contrastive_har.reports.tables import describe_budget, in_percent, name_row
from contrastive_har.signals.descriptions import DatasetDescription


@dataclass(frozen=True)
class Model:
    """A registered model.

    Attributes:
        name: Its name in the registry.
        sentence: What it is, and how good.
        options: Further parameters of inference.
        length: Samples of a window.
        channels: Number of channels.
        rows: Facts by name.
    """

    name: str
    sentence: str
    options: str
    length: int
    channels: int
    rows: Mapping[str, str]


def describe_model(
    facts: Mapping[str, Any] | None,
    summary: pd.DataFrame,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
    description: DatasetDescription,
) -> Model | None:
    """Describe the chosen recogniser; None if there is none.

    Args:
        facts: From :func:`contrastive_har.use.cards.describe_recogniser`.
        summary: One row per cell and metric.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
        description: The data set.
    """
    if facts is None:
        return None
    of = [facts[key] for key in ("split", "method", "evaluation", "label_budget")]
    row = name_row(methods[of[1]], evaluations[of[2]])
    score = _score(summary, of)
    channels = ", ".join(f"{channel['name']} ({channel['unit']})" for channel in facts["channels"])
    of_all = " of all modalities" if len({channel.modality for channel in description.channels}) > 1 else ""
    return Model(
        name=f"contrastive-har.{facts['dataset']}.{facts['protocol']}",
        sentence=(
            f"Of the rows{of_all} with {describe_budget(of[3])} and validation windows, {row} "
            f"({splits[of[0]].lower()}) has the best macro-F1 on them, and of its repeats number "
            f"{facts['repeat'] + 1}. On the test windows of its split the row has a macro-F1 of {score}, "
            "which did not choose it."
        ),
        options=f",dataset={facts['dataset']},protocol={facts['protocol']}",
        length=int(facts["window_samples"]),
        channels=len(facts["channels"]),
        rows={
            "Name": f"contrastive-har.{facts['dataset']}.{facts['protocol']}, registered by this run",
            "Recognises": ", ".join(facts["activities"]),
            "Input": f"{facts['window_samples']} samples at {facts['sampling_rate_hz']:g} Hz of {channels}",
            "Scaling": str(facts["normalisation"]),
            "Encoder and head": f"{facts['encoder']}, {facts['head']}",
            "Temperature": f"{facts['temperature']:.2f}, {facts['calibration']}",
            "Learned from": f"{description.title}. Licence: {description.licence or 'not stated'}",
        },
    )


def _score(summary: pd.DataFrame, of: list[Any]) -> str:
    """Return the score of the row on test windows, with its interval."""
    indexed = summary.set_index(["split", "method", "evaluation", "label_budget", "metric"]).sort_index()
    found = indexed.loc[(*of, "macro_f1")]
    spread = f" ± {in_percent(found['sd'])} [{in_percent(found['low'])} to {in_percent(found['high'])}]"
    return f"{in_percent(found['mean'])} %{spread if pd.notna(found['sd']) else ''}"
