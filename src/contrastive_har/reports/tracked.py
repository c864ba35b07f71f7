"""The tracked run of each cell of the result table, described independently of the tracking server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contrastive_har.refining import leaves
from contrastive_har.scores.table import CELL, EVERYTHING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURES = ("cluster_nmi", "alignment", "uniformity", "deviation", "effective_rank", "recall_at_1", "recall_at_5")
"""Measures of pre-training that are tracked by epoch, where they are known."""

# Characters that tracking servers refuse in the name of a metric, names of dots only, which they take for folders,
# and what looks like a replacement.
_UNTRACKABLE = re.compile(r" %|[^\w.\- ]|^\.(?=\.*$)|_(?=\.|percent)")
_LONGEST = 150  # characters


@dataclass(frozen=True)
class TrackedRun:
    """The tracked run of one cell.

    Attributes:
        name: Name in lists.
        tags: Tags by name, for searching; unique within a run.
        parameters: Values by flat name.
        metrics: (name, value, step); the step is the repeat, or the epoch where the name ends in ``by_epoch``.
        figures: Figures by name.
        dataset: Name of the input data set.
        source: Address of the data set.
        description: What it is and how good, in Markdown.
        digest: Fingerprint of the windows: signals and activities. Empty until the runs of all cells, which have the
            same windows, are gathered.
    """

    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int]]
    figures: Mapping[str, Figure]
    dataset: str
    source: str = ""
    description: str = ""
    digest: str = ""


@dataclass(frozen=True)
class CellResults:
    """Results of one method on one split.

    Attributes:
        scores: Long scores.
        predictions: Predictions of the test windows.
        curves: Learning curves.
        history: Pre-training history of its encoders.
        classes: Names of the class indices.
        source: Address of the data set.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    curves: pd.DataFrame
    history: pd.DataFrame
    classes: Sequence[str]
    source: str

    def rows(self) -> Iterator[tuple[dict[str, str], CellResults]]:
        """Yield the cells of the result table: values of ``CELL``, and the results of the cell."""
        for values, scores in self.scores.groupby(CELL, sort=False):
            row = dict(zip(CELL, map(str, values), strict=True))
            chosen = (_of_row(table, row) for table in (self.predictions, self.curves))
            yield row, replace(self, scores=scores, **dict(zip(("predictions", "curves"), chosen, strict=True)))


def describe_row(
    name: str,
    row: Mapping[str, str],
    results: CellResults,
    summary: pd.DataFrame,
    parameters: Mapping[str, Any],
    *,
    in_full: bool = True,
) -> TrackedRun:
    """Describe the run of one cell of the result table.

    Args:
        name: Its name in lists.
        row: Values of ``CELL``.
        results: Results of the cell.
        summary: Summary of its scores, a row per metric.
        parameters: Nested settings of all that the results depend on.
        in_full: Whether to include the confusion matrix and the pre-training history.
    """
    from contrastive_har.reports.figures import draw_one_confusion  # slow to import

    history = _history_metrics(results.history) if in_full else ()
    return TrackedRun(
        name=name,
        tags=dict(row),
        parameters={**flatten(parameters), **row},
        metrics=[
            *_summary_metrics(summary),
            *_score_metrics(results.scores),
            *_curve_metrics(results.curves),
            *history,
        ],
        figures={"confusion_matrix": draw_one_confusion(results.predictions, results.classes, name)} if in_full else {},
        dataset=row["dataset"],
        source=results.source,
        description=_describe(name, row, summary),
    )


def _of_row(table: pd.DataFrame, row: Mapping[str, str]) -> pd.DataFrame:
    return table[(table["evaluation"] == row["evaluation"]) & (table["label_budget"] == row["label_budget"])]


def flatten(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return nested settings with dotted names and text values."""
    return {".".join(map(trackable, path)): str(value) for path, value in leaves(settings)}


def trackable(name: str) -> str:
    """Return a name without the characters that tracking servers refuse, which differs from that of any other name.

    ``10 %`` becomes ``10_percent``, and any other refused character its number, as in ``_.2f_``. Of a long name the end
    is replaced by a hash.
    """
    escaped = _UNTRACKABLE.sub(
        lambda found: "_percent" if found[0] == " %" else f"_.{ord(found[0]):x}_",
        name,
    )
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[: _LONGEST - 20]}_.{hashlib.sha256(name.encode()).hexdigest()[:16]}_"


def _describe(name: str, row: Mapping[str, str], summary: pd.DataFrame) -> str:
    """Return what a cell is and its macro-F1, with the published value if there is one."""
    (score,) = summary[summary["metric"] == "macro_f1"].itertuples(index=False)
    values = {"sd": score.sd, "low": score.low, "high": score.high, "published": score.published}
    known = [f"{what} {100 * value:.1f}" for what, value in values.items() if np.isfinite(value)]
    return (
        f"{name}, of protocol {row['protocol']} on {row['dataset']}.\n\nMacro-F1 in per cent over {score.repeats} "
        f"repeats: **{100 * score.mean:.1f}**{''.join(f', {one}' for one in known)}."
    )


def name_cell(method: str, evaluation: str, budget: str, split: str) -> str:
    """Return the name of the tracked run of a cell, from titles of its parts and the label budget."""
    return f"{method} · {evaluation.lower()} · {budget} · {split.lower()}"


def _summary_metrics(summary: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Yield mean, interval and standard deviation of each metric."""
    for row in summary.itertuples(index=False):
        values = {row.metric: row.mean, f"{row.metric}_low": row.low, f"{row.metric}_high": row.high}
        for name, value in {**values, f"{row.metric}_sd": row.sd}.items():
            if np.isfinite(value):
                yield str(name), float(value), 0


def _score_metrics(scores: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    whole = scores[scores["group"] == EVERYTHING]
    for metric, rows in whole.groupby("metric", sort=False):
        for repeat, value in zip(rows["repeat"], rows["value"], strict=True):
            yield f"{metric}_by_repeat", float(value), int(repeat)
    for (metric, group), rows in scores[scores["group"] != EVERYTHING].groupby(["metric", "group"], sort=False):
        mean = float(rows["value"].mean())
        if np.isfinite(mean):
            kind, _, of = str(group).partition(": ")
            yield f"{kind}_{metric}/{trackable(of)}", mean, 0


def _curve_metrics(curves: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    for row in curves.itertuples(index=False):
        yield f"{row.role}_macro_f1_repeat_{row.repeat}_by_epoch", float(row.macro_f1), int(row.epoch)
        if row.role == "test":
            yield f"training_loss_repeat_{row.repeat}_by_epoch", float(row.loss), int(row.epoch)


def _history_metrics(history: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    for row in history.itertuples(index=False):
        yield f"pretraining_loss_repeat_{row.repeat}_by_epoch", float(row.loss), int(row.epoch)
        for name in _MEASURES:
            value = float(getattr(row, name, "nan"))
            if np.isfinite(value):
                yield f"{name}_repeat_{row.repeat}_by_epoch", value, int(row.epoch)
