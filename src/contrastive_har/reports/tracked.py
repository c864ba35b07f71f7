"""What a tracking server should know of each cell of the result table, described without knowing any server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contrastive_har.reports.figures import draw_one_confusion
from contrastive_har.reports.scores import CELL, EVERYTHING
from contrastive_har.reports.tables import percent_of_labels

_UNTRACKABLE = re.compile(r"[^\w.\- ]", re.ASCII)  # characters tracking servers refuse in the name of a metric


@dataclass(frozen=True)
class TrackedRun:
    """One cell's run.

    Attributes:
        name: Shown in lists; no other cell of a run has it.
        tags: For searching.
        parameters: Flat names and values.
        metrics: (name, value, step); the step is the repeat, or the epoch where the name ends in ``by_epoch``.
        figures: By name.
        dataset: Name of the input data set.
        digest: Fingerprint of the input data and parameters.
        source: Where the data come from.
    """

    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int]]
    figures: Mapping[str, Figure]
    dataset: str
    digest: str
    source: str = field(default="")


def describe_cell(
    cell: Mapping[str, Any],
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    curves: pd.DataFrame,
    history: pd.DataFrame,
    parameters: Mapping[str, Any],
    classes: Sequence[str],
    digest: str,
    source: str,
    *,
    in_full: bool = True,
) -> TrackedRun:
    """Describe one cell's run.

    Args:
        cell: Values of ``CELL``.
        scores: This cell's scores.
        predictions: This cell's predictions.
        curves: This cell's learning curves.
        history: The pre-training history of its encoders.
        parameters: Nested settings of everything that led to it.
        classes: Names of the class indices.
        digest: Fingerprint of the input data and parameters.
        source: Where the data come from.
        in_full: Whether its confusion matrix is drawn and the history repeated, or it is a point of a curve only.
    """
    parts = [str(cell[key]) for key in ("protocol", "split", "method", "evaluation")]
    name = " / ".join([*parts, percent_of_labels(cell["label_fraction"])])
    return TrackedRun(
        name=name,
        tags={key: str(cell[key]) for key in CELL},
        parameters={**flatten(parameters), **{key: str(cell[key]) for key in CELL}},
        metrics=[*_score_metrics(scores), *_curve_metrics(curves), *(_history_metrics(history) if in_full else ())],
        figures={"confusion_matrix": draw_one_confusion(predictions, classes, name)} if in_full else {},
        dataset=str(cell["dataset"]),
        digest=digest,
        source=source,
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings with dotted names and text values."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _score_metrics(scores: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    whole = scores[scores["group"] == EVERYTHING]
    for metric, rows in whole.groupby("metric", sort=False):
        values = rows["value"].to_numpy()
        yield f"{metric}_mean", float(values.mean()), 0
        if len(values) > 1:
            yield f"{metric}_sd", float(values.std(ddof=1)), 0
        for repeat, value in zip(rows["repeat"], values, strict=True):
            yield f"{metric}_by_repeat", float(value), int(repeat)
    for (metric, group), rows in scores[scores["group"] != EVERYTHING].groupby(["metric", "group"], sort=False):
        mean = float(rows["value"].mean())
        if np.isfinite(mean):
            kind, _, of = str(group).partition(": ")
            yield f"{kind}_{metric}/{_UNTRACKABLE.sub('_', of)}", mean, 0


def _curve_metrics(curves: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    for row in curves.itertuples(index=False):
        yield f"{row.role}_macro_f1_repeat_{row.repeat}_by_epoch", float(row.macro_f1), int(row.epoch)
        if row.role == "test":
            yield f"training_loss_repeat_{row.repeat}_by_epoch", float(row.loss), int(row.epoch)


def _history_metrics(history: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    for row in history.itertuples(index=False):
        yield f"pretraining_loss_repeat_{row.repeat}_by_epoch", float(row.loss), int(row.epoch)
        if np.isfinite(row.cluster_nmi):
            yield f"cluster_nmi_repeat_{row.repeat}_by_epoch", float(row.cluster_nmi), int(row.epoch)
