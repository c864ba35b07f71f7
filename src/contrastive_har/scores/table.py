"""Scores: the one long table behind every number, figure and tracked metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from contrastive_har.scores.metrics import METRICS, accuracy, confusion_matrix, f1_by_class, macro_f1

CELL = ["dataset", "protocol", "split", "method", "evaluation", "label_budget"]
"""Columns that identify one cell of a result table."""

SCORE_COLUMNS = [*CELL, "repeat", "metric", "group", "value"]
"""``group`` is ``all``, ``class: <activity>`` or ``subject: <name>``; ``value`` is in 0..1 (kappa, rises: -1..1)."""

EVERYTHING = "all"
CLASS = "class: "
"""Beginning of the groups of single activities."""
SUBJECT = "subject: "
"""Beginning of the groups of single subjects."""
PAPER_STYLE = {"macro_f1": "paper_style_macro_f1", "accuracy": "paper_style_micro_f1"}
"""Scores as the published ones may have been computed: the maximum over epochs, chosen on the test set."""

VALIDATION = "validation_macro_f1"
"""Macro-F1 on the validation windows after the last epoch, by which settings are chosen."""

SEQUENCE = "sequence_macro_f1"
"""Macro-F1 where probabilities are averaged over neighbouring windows of a recording."""

LATE_RISE = "late_rise"
"""By how much macro-F1 rose in the second half of training, on validation windows if there are any."""


def score(
    predictions: pd.DataFrame, curves: pd.DataFrame, subjects: pd.Series, class_names: Sequence[str], **cell: str
) -> pd.DataFrame:
    """Score predictions of one method on one split.

    Args:
        predictions: repeat, evaluation, label_budget, window, true, predicted, averaged.
        curves: Learning curves: repeat, evaluation, label_budget, role, learning_rate (NaN of heads that are not
            trained by gradient), macro_f1, accuracy by epoch.
        subjects: Subject by window.
        class_names: Names of the class indices.
        **cell: The columns of ``CELL`` that are not in the predictions.

    Returns:
        One row per cell, repeat, metric and group.
    """
    keys = ["evaluation", "label_budget", "repeat"]
    rows: list[dict[str, object]] = []
    for values, test in predictions.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True))
        rows += [{**row, **scored} for scored in _score_test(test, subjects, class_names)]
    for (*values, role), curve in curves.groupby([*keys, "role"], sort=False):
        row = {**dict(zip(keys, values, strict=True)), "group": EVERYTHING}
        if role == "validation":
            rows.append({**row, "metric": VALIDATION, "value": float(curve["macro_f1"].iloc[-1])})
        else:
            rows += [{**row, "metric": name, "value": float(curve[one].max())} for one, name in PAPER_STYLE.items()]
    for values, curve in curves.groupby(keys, sort=False):
        row = {**dict(zip(keys, values, strict=True)), "group": EVERYTHING}
        if (rise := _late_rise(curve)) is not None:
            rows.append({**row, "metric": LATE_RISE, "value": rise})
    return pd.DataFrame(rows).assign(**cell)[SCORE_COLUMNS]


def _late_rise(curve: pd.DataFrame) -> float | None:
    """Return the rise of macro-F1 from the middle to the end of training, if something was trained and scored then.

    Of rounds of self-training, only the kept one is looked at: those before have no learning rate.
    """
    role = "validation" if (curve["role"] == "validation").any() else "test"
    trained = curve[(curve["role"] == role) & curve["learning_rate"].notna()].sort_values("epoch")
    before = curve["epoch"].where(curve["learning_rate"].isna(), 0).max()
    early = trained[trained["epoch"] - before <= (trained["epoch"].max() - before) / 2]
    return None if early.empty else float(trained["macro_f1"].iloc[-1] - early["macro_f1"].iloc[-1])


def _score_test(test: pd.DataFrame, subjects: pd.Series, class_names: Sequence[str]) -> Iterator[dict[str, object]]:
    true, predicted = test["true"].to_numpy(), test["predicted"].to_numpy()
    confusion = confusion_matrix(true, predicted, len(class_names))
    for name, metric in METRICS.items():
        yield {"metric": name, "group": EVERYTHING, "value": metric(confusion)}
    averaged = confusion_matrix(true, test["averaged"].to_numpy(), len(class_names))
    yield {"metric": SEQUENCE, "group": EVERYTHING, "value": macro_f1(averaged)}
    for name, value in zip(class_names, f1_by_class(confusion), strict=True):
        yield {"metric": "f1", "group": f"{CLASS}{name}", "value": float(value)}
    subject_of_window = subjects.loc[test["window"]].to_numpy()
    for subject in np.unique(subject_of_window):
        chosen = subject_of_window == subject
        counts = confusion_matrix(true[chosen], predicted[chosen], len(class_names))
        yield {"metric": "macro_f1", "group": f"{SUBJECT}{subject}", "value": macro_f1(counts)}
        yield {"metric": "accuracy", "group": f"{SUBJECT}{subject}", "value": accuracy(counts)}
