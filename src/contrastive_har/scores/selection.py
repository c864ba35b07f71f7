"""Selection: what one gets if a setting is chosen on validation windows, and whether measures without labels agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import scipy  # its parts are imported when they are used, which takes long

from contrastive_har.scores.cells import Cell
from contrastive_har.scores.table import EVERYTHING, VALIDATION

LABEL_FREE = ("alignment", "uniformity", "recall_at_1")
"""Measures of pre-training that need no labels."""

_FAMILY = ["split", "evaluation", "label_budget"]
SELECTION_COLUMNS = [
    *_FAMILY,
    "repeats",
    "chosen",
    "value",
    "best",
    "best_value",
    "cost",
    *(f"{measure}_rank_correlation" for measure in LABEL_FREE),
]


def select(scores: pd.DataFrame, histories: pd.DataFrame, settings: Mapping[str, float]) -> pd.DataFrame:
    """Choose a setting in each repeat by its validation windows, and score the choice on its test windows.

    Test windows choose nothing. Of settings with equal validation scores, the first is chosen; repeats without
    validation windows are left out.

    Args:
        scores: Long scores, with macro-F1 on test and validation windows.
        histories: The last epoch of pre-training: split, method, repeat and the measures of ``LABEL_FREE``.
        settings: Value of the setting by method, in the order of preference.

    Returns:
        One row per split, evaluation and label budget: the values ``chosen`` in the repeats, the mean macro-F1
        ``value`` of the choices, the ``best`` single value in hindsight with its mean, the ``cost`` of not knowing it,
        and Spearman's rank correlation of each label-free measure with macro-F1 over methods and repeats.
    """
    whole = scores[(scores["group"] == EVERYTHING) & scores["method"].isin(list(settings))]
    rows = list(_rows(whole, histories, settings))
    return pd.DataFrame(rows, columns=SELECTION_COLUMNS)


def _rows(whole: pd.DataFrame, histories: pd.DataFrame, settings: Mapping[str, float]) -> Iterator[dict[str, object]]:
    for family, of_family in whole.groupby(_FAMILY, sort=False):
        test, validation = (
            of_family[of_family["metric"] == metric].pivot(index="repeat", columns="method", values="value")
            for metric in ("macro_f1", VALIDATION)
        )
        methods = [name for name in settings if name in test.columns and name in validation.columns]
        validation = validation.loc[validation.index.isin(test.index), methods].dropna(how="all")
        test = test.loc[validation.index, methods]
        if test.empty:
            continue
        chosen = [methods[index] for index in validation.fillna(-np.inf).to_numpy().argmax(1)]
        value = float(np.mean([test.loc[repeat, method] for repeat, method in zip(test.index, chosen, strict=True)]))
        best = str(test.mean().idxmax())
        measured = histories[histories["split"] == family[0]].set_index(["repeat", "method"])
        yield {
            **dict(zip(_FAMILY, family, strict=True)),
            "repeats": len(test),
            "chosen": ", ".join(f"{settings[method]:g}" for method in chosen),
            "value": value,
            "best": settings[best],
            "best_value": float(test[best].mean()),
            "cost": float(test[best].mean()) - value,
            **{f"{name}_rank_correlation": _correlation(test, measured[name]) for name in LABEL_FREE},
        }


def _correlation(test: pd.DataFrame, measure: pd.Series) -> float:
    both = pd.concat([test.stack().rename("score"), measure.rename("measure")], axis=1).dropna()
    if both["score"].nunique() < 2 or both["measure"].nunique() < 2:
        return float("nan")
    return float(scipy.stats.spearmanr(both["score"], both["measure"]).statistic)


def last_epochs(histories: Mapping[Cell, pd.DataFrame]) -> pd.DataFrame:
    """Return the last epoch of pre-training of every cell and repeat, with columns split and method."""
    rows = [last_epoch(history).assign(split=cell.split, method=cell.method) for cell, history in histories.items()]
    return pd.concat(rows, ignore_index=True)


def last_epoch(history: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each repeat's last epoch; none of a method without pre-training."""
    return history.sort_values("epoch").groupby("repeat", as_index=False).last()
