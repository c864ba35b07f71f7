"""Positions of windows on maps of their embeddings, by t-SNE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from contrastive_har.scores.statistics import ReportSettings


def place_windows(embeddings: Mapping[str, pd.DataFrame], settings: ReportSettings) -> dict[str, pd.DataFrame]:
    """Return the positions of windows on a map of each method and modality.

    Args:
        embeddings: Embeddings by method; columns modality (empty for all together), window, class, f0, f1, ...
        settings: Iterations and seed of t-SNE.

    Returns:
        By method: the table without features, and with the columns x and y.
    """
    return {
        method: pd.concat([_place(table, settings) for _, table in whole.groupby("modality", sort=False)])
        for method, whole in embeddings.items()
    }


def panels(maps: Mapping[str, pd.DataFrame], titles: Mapping[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the maps of all methods and modalities with their titles.

    Args:
        maps: Positions by method, from :func:`place_windows`.
        titles: Titles of the methods.
    """
    for method, whole in maps.items():
        for modality, table in whole.groupby("modality", sort=False):
            yield (f"{titles[method]}, {modality}" if modality else titles[method]), table


def _place(table: pd.DataFrame, settings: ReportSettings) -> pd.DataFrame:
    from sklearn.manifold import TSNE

    features = table.filter(regex=r"^f\d+$")
    known = features.dropna(axis=1, how="all").to_numpy()
    perplexity = min(30.0, (len(known) - 1) / 3)
    mapping = TSNE(perplexity=perplexity, init="pca", max_iter=settings.tsne_iterations, random_state=settings.seed)
    x, y = mapping.fit_transform(known).T
    return table.drop(columns=features.columns).assign(x=x, y=y)
