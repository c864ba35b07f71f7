"""Stretches: how windows are asked for together, and how strategies choose them, by literal definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies import BaseStrategy, Strategy, strategy_names
from tests.labelling.examples import blobs, with_probabilities

LENGTH = 35.0  # of a stretch: windows are ten long, and a new one begins every five


def strategy(name: str, **settings: object) -> BaseStrategy:
    return TypeAdapter(Strategy).validate_python({"name": name, "stretch": LENGTH, **settings})


def stretches_of(candidates: Candidates, length: float) -> list[list[int]]:
    """The windows of each stretch, written down literally."""
    found = []
    for part in sorted(set(candidates.parts.tolist())):
        members = [index for index in range(len(candidates)) if candidates.parts[index] == part]
        start = min(candidates.starts[index] for index in members)
        while start < max(candidates.ends[index] for index in members):
            inside = [
                index
                for index in members
                if start <= candidates.starts[index] and candidates.ends[index] <= start + length
            ]
            if inside:
                found.append(inside)
            start += length
    return found


@pytest.fixture
def candidates() -> Candidates:
    """Overlapping windows of six recordings, in stretches; one recording has a gap."""
    made = blobs([60, 40, 20], overlapping=True)
    late = (made.recordings == "r3") & (made.starts >= 50)
    starts, ends = made.starts + 33 * late, made.ends + 33 * late
    return replace(made, starts=starts, ends=ends, parts=np.where(late, 6, made.parts)).in_stretches(LENGTH)


def test_recordings_are_divided_into_stretches(candidates: Candidates) -> None:
    expected = stretches_of(candidates, LENGTH)
    found = [np.flatnonzero(candidates.stretches == index).tolist() for index in range(len(expected))]
    assert found == expected
    assert (candidates.stretches < 0).sum() == len(candidates) - sum(map(len, expected)) > 0
    for members in expected:
        first, last = min(candidates.starts[members]), max(candidates.ends[members])
        for index in members:
            assert candidates.members(index).tolist() == members
            assert candidates.span(index) == (first, last)
    assert candidates.seconds([expected[0][0], expected[3][1]]) == sum(
        max(candidates.ends[members]) - min(candidates.starts[members]) for members in (expected[0], expected[3])
    )


def test_windows_by_themselves_are_stretches_of_one(candidates: Candidates) -> None:
    single = candidates.in_stretches(None)
    assert single.members(7).tolist() == [7]
    assert single.span(7) == (single.starts[7], single.ends[7])
    assert single.seconds([7, 9, 11]) == 30
    assert single.as_many_as(24) == 24


def test_as_many_stretches_as_are_no_more_signal(candidates: Candidates) -> None:
    longest = max(
        max(candidates.ends[members]) - min(candidates.starts[members]) for members in stretches_of(candidates, LENGTH)
    )
    for windows in (1, 3, 4, 24, 77):
        count = candidates.as_many_as(windows)
        assert count == 1 or count * longest <= windows * 10
        assert (count + 1) * longest > windows * 10


@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("spread", [None, "subject", "recording"])
def test_chosen_stretches_are_deterministic_and_disjoint(name: str, spread: str | None, candidates: Candidates) -> None:
    known = with_probabilities(candidates, [7, 50])
    chosen = strategy(name, spread=spread).choose(known, 12, 3)
    assert chosen.tolist() == strategy(name, spread=spread).choose(known, 12, 3).tolist()
    assert len(chosen) == 12
    spans = [(known.recordings[index], *known.span(index)) for index in chosen]
    spans += [(known.recordings[index], known.starts[index], known.ends[index]) for index in (7, 50)]
    for place, (recording, start, end) in enumerate(spans):
        for other, begin, stop in spans[:place]:
            assert recording != other or end <= begin or stop <= start
    if spread is not None:
        of = {"subject": known.subjects, "recording": known.recordings}[spread]
        assert np.unique(of[chosen], return_counts=True)[1].max() <= -(-14 // len(np.unique(of)))


@pytest.mark.parametrize("name", strategy_names())
def test_every_stretch_is_chosen_if_so_many_are_asked_for(name: str, candidates: Candidates) -> None:
    known = with_probabilities(candidates, [7])
    of_seven = known.members(7).tolist()
    expected = [members for members in stretches_of(known, LENGTH) if members != of_seven]
    assert sorted(known.members(index).tolist() for index in strategy(name).choose(known, 500, 0)) == sorted(expected)


def test_stretches_at_the_centres_of_clusters(candidates: Candidates) -> None:
    """Each next is of the largest cluster with the fewest labels, which all windows of chosen stretches have."""
    points = candidates.embeddings.astype(np.float64)
    clusters = [np.flatnonzero(points.argmax(1) == cluster).tolist() for cluster in range(3)]
    free = {index for members in stretches_of(candidates, LENGTH) for index in members}
    labelled: list[int] = []
    expected = []
    for _ in range(3):
        counts = [sum(index in members for index in labelled) for members in clusters]
        members = min(clusters, key=lambda members: (counts[clusters.index(members)], -len(members)))
        mean = points[members].mean(0)
        chosen = min(free & set(members), key=lambda index: np.linalg.norm(points[index] - mean))
        expected.append(chosen)
        labelled += candidates.members(chosen).tolist()
        free -= set(labelled)
    assert strategy("cluster_centres").choose(candidates, 3, 0).tolist() == expected


def test_stretches_with_the_farthest_windows(candidates: Candidates) -> None:
    points = candidates.embeddings.astype(np.float64)
    free = {index for members in stretches_of(candidates, LENGTH) for index in members}
    labelled, expected = [3], []
    free -= set(candidates.members(3).tolist())
    for _ in range(6):
        gaps = {index: min(np.linalg.norm(points[index] - points[other]) for other in labelled) for index in free}
        expected.append(max(gaps, key=lambda index: gaps[index]))
        labelled += candidates.members(expected[-1]).tolist()
        free -= set(labelled)
    assert strategy("core_set").choose(candidates.with_labelled([3]), 6, 0).tolist() == expected


def test_stretches_with_different_gradients(candidates: Candidates) -> None:
    known = with_probabilities(candidates, [0])
    errors = known.probabilities - np.eye(4)[known.probabilities.argmax(1)]
    gradients = np.stack(
        [np.outer(error, point).ravel() for error, point in zip(errors, known.embeddings, strict=True)]
    )
    rng = np.random.default_rng(5)
    free = known.stretches >= 0
    free[known.members(0)] = False
    expected = [int(np.where(free, np.linalg.norm(gradients, axis=1), -1).argmax())]
    labelled: list[int] = []
    for _ in range(5):
        labelled += known.members(expected[-1]).tolist()
        free[labelled] = False
        squares = np.min([((gradients - gradients[index]) ** 2).sum(1) for index in labelled], axis=0) * free
        expected.append(int(rng.choice(len(known), p=squares / squares.sum())))
    assert strategy("badge").choose(known, 6, 5).tolist() == expected


def test_stretches_with_the_least_sure_windows(candidates: Candidates) -> None:
    known = with_probabilities(candidates, [0])
    ordered = np.sort(known.probabilities, axis=1)
    taken, expected = set(known.members(0).tolist()), []
    for index in np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable"):
        if known.stretches[index] >= 0 and index not in taken and len(expected) < 5:
            expected.append(int(index))
            taken |= set(known.members(index).tolist())
    assert strategy("margin").choose(known, 5, 0).tolist() == expected


def test_stretches_shorter_than_a_window_are_refused(candidates: Candidates) -> None:
    with pytest.raises(ValueError, match="no window of 10 s is within a stretch of 9 s; write a longer stretch"):
        strategy("random", stretch=9).choose(candidates, 3, 0)
    with pytest.raises(ValueError, match="write a longer stretch"):
        strategy("random", stretch=0.2).choose(candidates, 3, 0)
    with pytest.raises(ValidationError, match="greater than 0"):
        strategy("random", stretch=0)
