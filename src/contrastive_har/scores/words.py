"""Words of activities' names: a wrong activity may still have the right word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from contrastive_har.models.heads.words import Vocabulary, means_something
from contrastive_har.scores.metrics import confusion_matrix

_KEY = ["evaluation", "label_budget", "repeat"]
WORD_COLUMNS = [*_KEY, "word", "recall"]


def telling_words(vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    """Return the words of each name without numbers and words like "to"; a name of nothing else keeps all."""
    return [tuple(dict.fromkeys(filter(means_something, name))) or name for name in vocabulary.names]


def count_words(names: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Return in how many names each word is: those in most names first, then alphabetically."""
    counts = Counter(word for name in names for word in set(name))
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def score_words(predictions: pd.DataFrame, vocabulary: Vocabulary) -> pd.DataFrame:
    """Return the recall of each word: of the windows whose activity's name has it, the share predicted as such a name.

    Args:
        predictions: evaluation, label_budget, repeat, true, predicted.
        vocabulary: The names of the class indices.

    Returns:
        One row per evaluation, label budget, repeat and word; NaN for a word without a test window.
    """
    names = telling_words(vocabulary)
    words = list(count_words(names))
    has = np.array([[word in name for word in words] for name in names]).astype(np.int64)  # (classes, words)
    tables = []
    for key, rows in predictions.groupby(_KEY, sort=False):
        confusion = confusion_matrix(rows["true"].to_numpy(), rows["predicted"].to_numpy(), len(names))
        right, windows = (has * (confusion @ has)).sum(0), has.T @ confusion.sum(1)
        recall = np.divide(right, windows, out=np.full(len(words), np.nan), where=windows > 0)
        tables.append(pd.DataFrame({"word": words, "recall": recall}).assign(**dict(zip(_KEY, key, strict=True))))
    return pd.concat(tables, ignore_index=True)[WORD_COLUMNS] if tables else pd.DataFrame(columns=WORD_COLUMNS)
