"""Strategies: the same windows as their definitions, written down literally; and what all have in common."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies import BaseStrategy, Strategy, strategy_names
from tests.labelling.examples import blobs, with_probabilities

NAMES = strategy_names()


def strategy(name: str, **settings: object) -> BaseStrategy:
    return TypeAdapter(Strategy).validate_python({"name": name, **settings})


def of_clusters(points: np.ndarray) -> list[list[int]]:
    """The clusters of ``blobs``: each has another large coordinate."""
    nearest = points.argmax(1)
    return [list(np.flatnonzero(nearest == cluster)) for cluster in np.unique(nearest)]


def test_cluster_centres_are_the_windows_nearest_to_the_means() -> None:
    candidates = blobs([30, 20, 25, 15])
    points = candidates.embeddings.astype(np.float64)
    expected = []
    for members in sorted(of_clusters(points), key=len, reverse=True):
        mean = points[members].mean(0)
        expected.append(min(members, key=lambda index: np.linalg.norm(points[index] - mean)))
    assert strategy("cluster_centres").choose(candidates, 4, 0).tolist() == expected


def test_typical_windows_have_the_nearest_neighbours() -> None:
    candidates = blobs([30, 20, 25, 4])
    points = candidates.embeddings.astype(np.float64)
    expected = []
    for members in sorted(of_clusters(points), key=len, reverse=True):
        distances = {
            index: np.mean(
                sorted(np.linalg.norm(points[index] - points[other]) for other in members if other != index)[:7]
            )
            for index in members
        }
        expected.append(min(distances, key=lambda index: distances[index]))
    assert strategy("typical", neighbours=7).choose(candidates, 4, 0).tolist() == expected


@pytest.mark.parametrize("name", ["cluster_centres", "typical"])
def test_lengths_can_be_left_out(name: str) -> None:
    candidates = blobs([30, 20, 25, 15])
    lengths = np.random.default_rng(1).uniform(0.1, 10, (len(candidates), 1)).astype(np.float32)
    scaled = replace(candidates, embeddings=candidates.embeddings * lengths)
    unit = replace(
        candidates, embeddings=candidates.embeddings / np.linalg.norm(candidates.embeddings, axis=1, keepdims=True)
    )
    expected = strategy(name).choose(unit, 4, 0).tolist()
    assert strategy(name, unit_length=True).choose(scaled, 4, 0).tolist() == expected


@pytest.mark.parametrize("name", ["cluster_centres", "typical"])
def test_clusters_with_a_label_are_left_out(name: str) -> None:
    candidates = blobs([30, 20, 25, 15])
    by_size = sorted(of_clusters(candidates.embeddings), key=len, reverse=True)
    chosen = strategy(name).choose(candidates.with_labelled([by_size[0][0], by_size[2][0]]), 2, 0)
    assert [next(place for place, members in enumerate(by_size) if index in members) for index in chosen] == [1, 3]


def test_core_set_takes_the_farthest_window() -> None:
    candidates = blobs([30, 20, 25]).with_labelled([3])
    points = candidates.embeddings.astype(np.float64)
    labelled, expected = [3], []
    for _ in range(10):
        gaps = [min(np.linalg.norm(point - points[index]) for index in labelled) for point in points]
        expected.append(int(np.argmax(gaps)))
        labelled.append(expected[-1])
    assert strategy("core_set").choose(candidates, 10, 0).tolist() == expected


def test_margin_takes_the_least_sure_windows() -> None:
    candidates = with_probabilities(blobs([30, 20]), [0])
    margins = {}
    for index, probabilities in enumerate(candidates.probabilities):
        first, second = sorted(probabilities, reverse=True)[:2]
        margins[index] = first - second
    del margins[0]
    assert strategy("margin").choose(candidates, 5, 0).tolist() == sorted(margins, key=lambda one: margins[one])[:5]


def test_badge_seeds_k_means_on_gradients() -> None:
    candidates = with_probabilities(blobs([30, 20]), [0])
    gradients = []
    for embedding, probabilities in zip(candidates.embeddings, candidates.probabilities, strict=True):
        logits_weight = torch.zeros(4, 8, dtype=torch.float64, requires_grad=True)
        logits = (
            torch.from_numpy(probabilities.astype(np.float64)).log()
            + logits_weight @ torch.from_numpy(embedding).double()
        )
        torch.nn.functional.cross_entropy(logits[None], torch.tensor([int(probabilities.argmax())])).backward()
        gradients.append(logits_weight.grad.numpy().ravel())
    gradients = np.stack(gradients)
    rng = np.random.default_rng(5)
    free = np.ones(50, bool)
    free[0] = False
    expected = [int(np.where(free, np.linalg.norm(gradients, axis=1), -1).argmax())]
    while len(expected) < 8:
        free[expected[-1]] = False
        squares = np.min([((gradients - gradients[index]) ** 2).sum(1) for index in expected], axis=0) * free
        expected.append(int(rng.choice(50, p=squares / squares.sum())))
    assert strategy("badge").choose(candidates, 8, 5).tolist() == expected


def test_random_windows_are_equally_likely() -> None:
    candidates = blobs([6, 6])
    drawn = np.concatenate([strategy("random").choose(candidates, 3, seed) for seed in range(400)])
    counts = np.bincount(drawn, minlength=12)
    assert counts.sum() == 1200
    assert ((counts - 100) ** 2 / 100).sum() < 31.3  # chi-square of 11 degrees, p = 0.001


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [None, "subject", "recording"])
def test_choices_are_deterministic_disjoint_and_do_not_overlap(name: str, spread: str | None) -> None:
    candidates = with_probabilities(blobs([60, 40, 20], overlapping=True), [7, 50])
    chosen = strategy(name, spread=spread).choose(candidates, 16, 3)
    assert chosen.tolist() == strategy(name, spread=spread).choose(candidates, 16, 3).tolist()
    together = [7, 50, *chosen.tolist()]
    assert len(set(together)) == 18
    for place, one in enumerate(together):
        for other in together[:place]:
            same = candidates.recordings[one] == candidates.recordings[other]
            assert not (same and abs(candidates.starts[one] - candidates.starts[other]) < 10)
    if spread is not None:
        of = {"subject": candidates.subjects, "recording": candidates.recordings}[spread]
        _, counts = np.unique(of[together], return_counts=True)
        assert counts.max() == 18 / len(np.unique(of))


@pytest.mark.parametrize("name", NAMES)
def test_every_window_is_chosen_if_so_many_are_asked_for(name: str) -> None:
    candidates = with_probabilities(blobs([12, 8]), [4])
    assert sorted(strategy(name).choose(candidates, 100, 0)) == [index for index in range(20) if index != 4]
    same = Candidates(
        np.zeros((20, 3), np.float32),
        *[getattr(candidates, one) for one in ("subjects", "recordings", "starts", "ends", "rate", "parts")],
    )
    assert len(strategy(name).choose(with_probabilities(same, [4]), 19, 0)) == 19


def test_shares_of_a_group_with_few_windows_go_to_the_others() -> None:
    candidates = blobs([30, 20])
    few = np.where(np.arange(50) < 45, "many", "few").astype(object)
    chosen = strategy("random", spread="subject").choose(replace(candidates, subjects=few), 20, 0)
    assert (few[chosen] == "few").sum() == 5
    assert len(chosen) == 20


@pytest.mark.parametrize("name", ["margin", "badge"])
def test_probabilities_are_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="choose the first windows by cluster_centres"):
        strategy(name).choose(blobs([4]), 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_thousand_windows_take_less_than_a_minute(name: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 96)) * 2
    points = (centres[rng.integers(40, size=100_000)] + rng.normal(size=(100_000, 96))).astype(np.float32)
    names = np.array([f"r{index // 1000}" for index in range(100_000)], object)
    starts, parts = np.arange(100_000) * 64, np.arange(100_000) // 1000
    candidates = Candidates(points, names, names, starts, starts + 128, 50.0, parts)
    begin = time.process_time()  # of all threads, so that other programs do not count
    assert len(strategy(name).choose(with_probabilities(candidates, [0]), 200, 0)) == 200
    assert time.process_time() - begin < 60
