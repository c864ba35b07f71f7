"""Words of activities' names in the report: scores by word, an order of activities, and one word of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its parts are imported when they are used, which takes long

from contrastive_har.models.heads.words import Vocabulary
from contrastive_har.reports.tables import in_percent, name_row
from contrastive_har.scores.words import count_words, telling_words


@dataclass(frozen=True)
class WordTable:
    """Recall by word of each row on one split.

    Attributes:
        title: Title of the split.
        rows: (method and evaluation, formatted recalls, one for each word).
    """

    title: str
    rows: list[tuple[str, list[str]]]


def neighbours(vocabulary: Vocabulary) -> list[int]:
    """Return class indices in an order in which names that share words are near one another.

    The order of leaves in the tree of average linkage of the names' Jaccard distances, turned so that neighbours differ
    least (Bar-Joseph et al. 2001); it depends on nothing but the names and their order.
    """
    names = telling_words(vocabulary)
    has = np.array([[word in name for word in count_words(names)] for name in names])
    distances = scipy.spatial.distance.pdist(has, "jaccard")
    tree = scipy.cluster.hierarchy.linkage(distances, "average", optimal_ordering=True)
    order: list[int] = scipy.cluster.hierarchy.leaves_list(tree).tolist()
    return order


def common_words(vocabulary: Vocabulary) -> list[str]:
    """Return one word of each name: the rarest that another name has too, else the first."""
    names = telling_words(vocabulary)
    counts = count_words(names)
    shared = ([word for word in name if counts[word] > 1] for name in names)
    return [min(common or name[:1], key=lambda word: counts[word]) for common, name in zip(shared, names, strict=True)]


def word_tables(
    recalls: Mapping[str, pd.DataFrame],
    words: Sequence[str],
    budget: str,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
) -> list[WordTable]:
    """Return mean recalls over repeats, one table per split.

    Args:
        recalls: Recalls of all methods by title of the split: method, evaluation, label_budget, repeat, word, recall.
        words: The columns.
        budget: Name of the label budget.
        methods: Titles of the methods by name.
        evaluations: Titles of the evaluations by name.
    """
    tables = []
    for title, table in recalls.items():
        means = table[table["label_budget"] == budget].groupby(["method", "evaluation", "word"], sort=False)["recall"]
        rows = [
            (
                name_row(methods[str(method)], evaluations[str(evaluation)]),
                [in_percent(of_row.get((method, evaluation, word), np.nan)) for word in words],
            )
            for (method, evaluation), of_row in means.mean().groupby(level=[0, 1], sort=False)
        ]
        tables.append(WordTable(title, rows))
    return tables
