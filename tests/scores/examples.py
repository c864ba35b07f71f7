"""Scores made up for tests: of predictions, and of repeats that are paired."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from contrastive_har.scores.table import EVERYTHING, SCORE_COLUMNS, score

CLASSES = ["rest", "walk, (fast) & down"]
SUBJECTS = pd.Series(["s1"] * 50 + ["s2"] * 50)


def predictions(seed: int, right: float) -> pd.DataFrame:
    """Return predictions of three repeats with two label budgets, of which a share is right."""
    rng = np.random.default_rng(seed)
    rows = []
    for repeat in range(3):
        for budget in ("1 %", "10 %"):
            true = rng.integers(0, 2, 100)
            predicted = np.where(rng.random(100) < right, true, 1 - true)
            columns = {
                "window": np.arange(100),
                "true": true,
                "predicted": predicted,
                "probability": 0.9,
                "averaged": true,
            }
            rows.append(pd.DataFrame(columns).assign(repeat=repeat, evaluation="linear", label_budget=budget))
    return pd.concat(rows)


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Return learning curves of two epochs to go with predictions."""
    keys = table[["repeat", "evaluation", "label_budget"]].drop_duplicates()
    epochs = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [2.0, 1.0],
            "role": "test",
            "learning_rate": 0.1,
            "macro_f1": [0.99, 0.5],
            "accuracy": [0.9, 0.98],
        }
    )
    return keys.merge(epochs, how="cross")


def scored(method: str, seed: int, right: float) -> pd.DataFrame:
    """Return long scores of a method's predictions."""
    table = predictions(seed, right)
    names = {"dataset": "uci_har", "protocol": "semi_supervised", "split": "paper", "method": method}
    return score(table, curves(table), SUBJECTS, CLASSES, **names)


def two_methods() -> pd.DataFrame:
    """Return long scores of a good method and a worse one."""
    return pd.concat([scored("simclr", 0, 0.9), scored("random_init", 1, 0.7)], ignore_index=True)


def long_scores(values: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Return long scores of macro-F1 by method and evaluation, a value per repeat."""
    rows = [
        {
            "dataset": "d",
            "protocol": "p",
            "split": "s",
            "method": method,
            "evaluation": evaluation,
            "label_budget": "1 %",
            "repeat": repeat,
            "metric": "macro_f1",
            "group": EVERYTHING,
            "value": value,
        }
        for (method, evaluation), of in values.items()
        for repeat, value in enumerate(of)
    ]
    return pd.DataFrame(rows)[SCORE_COLUMNS]


def paired_scores() -> pd.DataFrame:
    """Return ten repeats: a is above b and c by the same in each, and base is below and judged by one evaluation."""
    rng = np.random.default_rng(0)
    subjects = rng.normal(0.8, 0.05, 10)  # what all methods share: paired tests see through it
    made = {
        (m, e): (subjects + shift + rng.normal(0, 0.002, 10)).tolist()
        for m, shift in (("a", 0.05), ("b", 0.0), ("c", 0.0))
        for e in ("linear", "fine")
    }
    return long_scores({**made, ("base", "alone"): (subjects - 0.1).tolist()})


TRIED = [6, 12, 24, 48]
"""Numbers of labels in trials."""


def trials(gain: float) -> pd.DataFrame:
    """Scores that rise by a tenth with each doubling of the labels; a strategy is some doublings ahead."""
    rng = np.random.default_rng(0)
    rows = []
    for repeat, draw, labels in itertools.product(range(2), range(5), TRIED):
        luck = 0.001 * rng.standard_normal()
        for strategy, ahead in (("random", 0.0), ("chosen", gain)):
            value = 0.3 + 0.1 * (np.log2(labels / 6) + ahead) + luck
            rows.append([repeat, draw, strategy, labels, value])
    table = pd.DataFrame(rows, columns=["repeat", "draw", "strategy", "labels", "macro_f1"])
    return table.assign(
        split="unseen", method="simclr", wrong_labels=0.0, signal_seconds=2.0 * table["labels"], seconds=0.5
    )
