"""Tuned rows: the choice of a setting by validation windows, and scores as configured and as tuned."""

from __future__ import annotations

import pandas as pd

from contrastive_har.scores.comparisons import compare_pair, holm
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import EVERYTHING

SETTINGS = ("untuned", "tuned")
"""A row as configured, and with the setting that each repeat chooses."""

_ROW = ["split", "method", "evaluation"]
TUNING_COLUMNS = [
    *(*_ROW, "label_budget", "repeats", "trials", *SETTINGS, "difference", "low", "high", "p", "p_holm"),
    *(*(f"{setting}_validation" for setting in SETTINGS), "settings"),
]


def choose_settings(trials: pd.DataFrame) -> pd.DataFrame:
    """Mark the trial that each repeat chooses: the best by macro-F1 on its validation windows, of equal ones the first.

    Args:
        trials: Trials of one row: evaluation, repeat, trial, setting and validation_macro_f1.

    Returns:
        The trials in order, with the column ``chosen``.
    """
    keys = ["evaluation", "repeat"]
    ordered = trials.sort_values([*keys, "trial"], kind="stable", ignore_index=True)
    best = ordered.groupby(keys, sort=False)["validation_macro_f1"].idxmax()
    return ordered.assign(chosen=ordered.index.isin(best))


def summarise_tuning(trials: pd.DataFrame, scores: pd.DataFrame, settings: ReportSettings) -> pd.DataFrame:
    """Return macro-F1 of every row as configured and as tuned, on test windows, with their difference.

    Args:
        trials: Trials of all rows: split, method and the columns of :func:`choose_settings`.
        scores: Long scores on test windows, with a column ``setting``: one of ``SETTINGS``.
        settings: Confidence level and resamples of the interval of the differences, which are paired by repeat.

    Returns:
        ``TUNING_COLUMNS``; p-values are those of Wilcoxon's signed-rank test, corrected by Holm's method over the rows
        of a split and label budget. Scores are means over repeats; those of validation windows chose the settings.
        ``settings`` lists the values chosen in each repeat, as JSON.
    """
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == EVERYTHING)]
    rows = []
    for values, of_row in whole.groupby([*_ROW, "label_budget"], sort=False):
        row = dict(zip([*_ROW, "label_budget"], values, strict=True))
        tried = trials[(trials[_ROW] == list(values[:-1])).all(axis=1)]
        chosen = tried[tried["chosen"]].sort_values("repeat")
        wide = of_row.pivot(index="repeat", columns="setting", values="value")
        pair = compare_pair(wide, "tuned", "untuned", settings)
        rows.append(
            {
                **row,
                **{name: pair[name] for name in ("repeats", "difference", "low", "high", "p")},
                **wide.mean().to_dict(),
                "trials": tried["trial"].nunique(),
                "untuned_validation": tried.loc[tried["trial"] == 0, "validation_macro_f1"].mean(),
                "tuned_validation": chosen["validation_macro_f1"].mean(),
                "settings": f"[{', '.join(chosen['setting'])}]",
            }
        )
    summary = pd.DataFrame(rows)
    corrected = summary.groupby(["split", "label_budget"])["p"].transform(lambda values: holm(values.tolist()))
    return summary.assign(p_holm=corrected)[TUNING_COLUMNS]
