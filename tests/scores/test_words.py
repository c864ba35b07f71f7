"""Scores by word against a literal count, window by window."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from contrastive_har.models.heads.words import Vocabulary
from contrastive_har.scores.words import WORD_COLUMNS, count_words, score_words, telling_words

CLASSES = ("walk", "walk upstairs", "sit to stand", "stand", "open door 1", "open door 2", "7")
VOCABULARY = Vocabulary.of(CLASSES, {"walk": "Walk slowly"})


def predictions(seed: int, repeat: int, budget: str, without: int) -> pd.DataFrame:
    """Random predictions; no window is of one of the classes."""
    rng = np.random.default_rng(seed)
    true = rng.choice(np.delete(np.arange(len(CLASSES)), without), 80)
    columns = {"true": true, "predicted": rng.integers(0, len(CLASSES), 80)}
    return pd.DataFrame(columns).assign(repeat=repeat, evaluation="spelled", label_budget=budget)


def literally(rows: pd.DataFrame, word: str) -> float:
    """Recall of a word, of the names as they are spelled."""
    right = total = 0
    for row in rows.itertuples():
        if word in VOCABULARY.names[int(row.true)]:
            total += 1
            right += word in VOCABULARY.names[int(row.predicted)]
    return right / total if total else math.nan


def test_words_that_tell_nothing_do_not_count() -> None:
    assert telling_words(VOCABULARY) == [
        ("walk", "slowly"),
        ("walk", "upstairs"),
        ("sit", "stand"),
        ("stand",),
        ("open", "door"),
        ("open", "door"),
        ("7",),
    ], "a name of a number only keeps it"
    counts = count_words(telling_words(VOCABULARY))
    assert list(counts.items())[:4] == [("door", 2), ("open", 2), ("stand", 2), ("walk", 2)]
    assert list(counts)[4:] == ["7", "sit", "slowly", "upstairs"]
    assert count_words([("again", "again")]) == {"again": 1}


def test_recalls_are_those_of_a_count_window_by_window() -> None:
    parts = [predictions(0, 0, "1 %", without=6), predictions(1, 1, "1 %", without=1), predictions(2, 0, "5 %", 3)]
    table = score_words(pd.concat(parts), VOCABULARY)
    assert list(table.columns) == WORD_COLUMNS
    assert len(table) == 3 * 8
    for part in parts:
        key = part.iloc[0]
        of_part = table[(table["repeat"] == key["repeat"]) & (table["label_budget"] == key["label_budget"])]
        for row in of_part.itertuples():
            assert row.recall == pytest.approx(literally(part, row.word), nan_ok=True)
    unknown = table[table["recall"].isna()]
    assert set(unknown[["repeat", "word"]].itertuples(index=False, name=None)) == {(0, "7"), (1, "upstairs")}


def test_a_wrong_activity_with_the_right_word_counts_for_the_word() -> None:
    doors = pd.DataFrame({"true": [4, 5], "predicted": [5, 4], "repeat": 0, "evaluation": "e", "label_budget": "1 %"})
    recalls = score_words(doors, VOCABULARY).set_index("word")["recall"]
    assert recalls[["open", "door"]].tolist() == [1.0, 1.0]
    assert recalls.drop(["open", "door"]).isna().all()


def test_no_predictions_give_no_rows() -> None:
    nothing = predictions(0, 0, "1 %", 0).iloc[:0]
    table = score_words(nothing, VOCABULARY)
    assert table.empty
    assert list(table.columns) == WORD_COLUMNS
