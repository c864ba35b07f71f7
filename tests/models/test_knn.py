"""Nearest neighbours, one labelled window after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

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


def test_weights_multiply_votes_and_change_no_neighbour() -> None:
    """A window of weight three votes as three equal ones would, if these were neighbours together."""
    features, targets = examples(12, 5)
    queries, _ = examples(9, 5, seed=1)
    weights = torch.tensor([1.0, 3.0, 2.0]).repeat(4)
    weighted, repeated, plain = (KNNSettings(neighbours=many).build(5, NAMES) for many in (12, 24, 3))
    weighted.fit(features, targets, weights)
    repeated.fit(features.repeat_interleave(weights.long(), 0), targets.repeat_interleave(weights.long()))
    torch.testing.assert_close(weighted(queries).softmax(1), repeated(queries).softmax(1))
    plain.fit(features, targets)
    few = KNNSettings(neighbours=3).build(5, NAMES)
    few.fit(features, targets, 7 * torch.ones(12))
    torch.testing.assert_close(few(queries).softmax(1), plain(queries).softmax(1))
    one_sided = KNNSettings(neighbours=1).build(5, NAMES)
    one_sided.fit(features, targets, weights)
    nearest = (functional.normalize(queries, dim=1) @ functional.normalize(features, dim=1).T).argmax(1)
    torch.testing.assert_close(one_sided(queries).argmax(1), targets[nearest])


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
    unit = functional.normalize(features, dim=1)
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
