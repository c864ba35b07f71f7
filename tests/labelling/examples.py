"""Candidates for tests."""

from __future__ import annotations

import numpy as np

from contrastive_har.labelling.candidates import Candidates


def blobs(sizes: list[int], seed: int = 0, overlapping: bool = False) -> Candidates:
    """Windows in well-separated clusters, in a mixed order, of three subjects with two recordings each."""
    rng = np.random.default_rng(seed)
    centres = 100 * np.eye(len(sizes), 8)
    points = np.concatenate([centre + rng.normal(size=(size, 8)) for centre, size in zip(centres, sizes, strict=True)])
    points = points[rng.permutation(len(points))].astype(np.float32)
    count = len(points)
    index = np.arange(count)
    of_recording = index % 6
    step = 5 if overlapping else 10
    return Candidates(
        points,
        np.array([f"s{number // 2}" for number in of_recording], object),
        np.array([f"r{number}" for number in of_recording], object),
        index // 6 * step,
        index // 6 * step + 10,
        1.0,
        of_recording,
    )


def with_probabilities(candidates: Candidates, labelled: list[int], seed: int = 0) -> Candidates:
    """The same windows with random probabilities of four activities."""
    logits = np.random.default_rng(seed).normal(size=(len(candidates), 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return candidates.with_labelled(labelled, probabilities.astype(np.float32))
