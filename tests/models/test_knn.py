"""Nearest neighbours, one labelled window after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastive_har.models.heads.knn import KNN, KNNSettings
from tests.models.test_heads import CLASSES, NAMES, examples


def literal(bank: np.ndarray, labels: np.ndarray, query: np.ndarray, neighbours: int, temperature: float) -> np.ndarray:
    """Shares of the classes' votes (arXiv 1805.01978, sec. 3.4)."""
    cosine = [query @ row / (np.linalg.norm(query) * np.linalg.norm(row)) for row in bank]
    votes = np.zeros(CLASSES)
    for i in sorted(range(len(bank)), key=lambda i: -cosine[i])[:neighbours]:
        votes[labels[i]] += np.exp(cosine[i] / temperature)
    return votes / votes.sum()


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.07), (5, 0.07), (7, 1.0), (50, 0.3)])
def test_it_is_its_formula(neighbours: int, temperature: float) -> None:
    features, targets = examples(40, 5)
    queries = torch.cat([examples(9, 5, seed=1)[0], -features[:5]])  # those of the other direction are far from all
    head = KNNSettings(neighbours=neighbours, temperature=temperature, windows=60).build(5, NAMES).double()
    head.fit(features.double(), targets)
    found = head(queries.double()).softmax(1).numpy()
    for row, query in zip(found, queries.double().numpy(), strict=True):
        expected = literal(features.double().numpy(), targets.numpy(), query, neighbours, temperature)
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-12)


def test_the_smallest_temperature_stays_finite() -> None:
    features, targets = examples(40, 5)
    for neighbours in (1, 20):
        head = KNNSettings(neighbours=neighbours, temperature=0.01).build(5, NAMES)
        head.fit(features, targets)
        scores = head(features)
        assert torch.isfinite(scores).all()
        if neighbours == 1:
            torch.testing.assert_close(scores.argmax(1), targets, msg="each window is its own nearest neighbour")


def test_of_more_windows_some_are_drawn() -> None:
    features, targets = examples(40, 5)
    head = KNNSettings(windows=25).build(5, NAMES)
    assert isinstance(head, KNN)
    torch.manual_seed(0)
    head.fit(features, targets)
    unit = torch.nn.functional.normalize(features, dim=1)
    rows = [int((unit == row).all(1).nonzero()) for row in head.embeddings]
    assert rows == sorted(set(rows))
    assert rows != list(range(25))
    torch.testing.assert_close(head.labels.argmax(1), targets[rows])
    head.fit(features[:10], targets[:10])
    assert head.labels.sum() == 10, "nothing of an earlier fit is left"


def test_a_class_without_a_neighbour_is_never_predicted_and_has_a_finite_score() -> None:
    features, targets = examples(40, 5)
    some = targets > 0
    head = KNNSettings().build(5, NAMES)
    head.fit(features[some], targets[some])
    scores = head(features)
    assert torch.isfinite(scores).all()
    assert (scores.argmax(1) > 0).all()
