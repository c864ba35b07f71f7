"""TS2Vec against its formulas, one anchor after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastive_har.learning.objectives import Step
from contrastive_har.learning.objectives.ts2vec import (
    TS2Vec,
    TS2VecSettings,
    hierarchical_contrast,
    overlapping,
)
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.encoders.dilated import Dilated, DilatedSettings
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, build, some

ALONE = CPU.resolve()
SMALL = BackboneSettings(encoder=DilatedSettings(hidden=4, features=5, blocks=1, dropout=0))


def instance(r: np.ndarray, other: np.ndarray, i: int, t: int) -> float:
    """Eq. 2."""
    total = sum(np.exp(r[i, t] @ other[j, t]) + (np.exp(r[i, t] @ r[j, t]) if j != i else 0) for j in range(len(r)))
    return -float(np.log(np.exp(r[i, t] @ other[i, t]) / total))


def temporal(r: np.ndarray, other: np.ndarray, i: int, t: int) -> float:
    """Eq. 1."""
    steps = range(r.shape[1])
    total = sum(np.exp(r[i, t] @ other[i, s]) + (np.exp(r[i, t] @ r[i, s]) if s != t else 0) for s in steps)
    return -float(np.log(np.exp(r[i, t] @ other[i, t]) / total))


def literal(a: np.ndarray, b: np.ndarray, weight: float) -> float:
    """Algorithm 1, with both views as anchors; a scale of one sample has no other samples."""
    scales = []
    while True:
        anchors = [(i, t) for i in range(len(a)) for t in range(a.shape[1])]
        scale = weight * np.mean([instance(p, q, i, t) for p, q in ((a, b), (b, a)) for i, t in anchors])
        if a.shape[1] > 1:
            scale += (1 - weight) * np.mean([temporal(p, q, i, t) for p, q in ((a, b), (b, a)) for i, t in anchors])
        scales.append(scale)
        if a.shape[1] == 1:
            return float(np.mean(scales))
        pairs = a.shape[1] // 2
        a, b = (np.stack([x[:, 2 * s : 2 * s + 2].max(1) for s in range(pairs)], axis=1) for x in (a, b))


@pytest.mark.parametrize("steps", [1, 2, 7, 8])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_hierarchical_contrast_is_its_formula(steps: int, weight: float) -> None:
    a, b = torch.randn(2, 4, steps, 3, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)
    expected = literal(a.numpy(), b.numpy(), weight)
    assert hierarchical_contrast(a, b, weight).item() == pytest.approx(expected, rel=1e-6)


def test_a_step_contrasts_what_two_pieces_share(windows: Windows) -> None:
    objective, batch = build(TS2VecSettings(hidden=0.4, instance_weight=0.3), windows, SMALL), some(windows, 5)
    assert isinstance(objective, TS2Vec)
    encoder = objective.encoder
    assert isinstance(encoder, Dilated)
    seed = 4
    draws = Step(seed, ALONE).draws(batch)
    first, begin, end, last = overlapping(64, draws, batch)
    assert first < begin < end < last, "or the test shows little"
    views = []
    for low, high in ((first, end), (begin, last)):
        piece = batch[:, low:high]
        encoded = encoder.sequence(piece, draws.uniform(piece, high - low) < 0.4)
        views.append(encoded[:, begin - low : end - low].detach().numpy())
    found = objective.loss(batch, Step(seed, ALONE))
    assert found.loss.item() == pytest.approx(literal(*views, 0.3), rel=1e-6)
    assert found.projections is not None
    pooled = np.stack([view.max(1) for view in views])
    expected = pooled / np.linalg.norm(pooled, axis=2, keepdims=True)
    np.testing.assert_allclose(found.projections.numpy(), expected, rtol=1e-6)


def test_pieces_overlap_and_lie_in_the_window() -> None:
    windows = torch.zeros(3, 10, 1)
    draws = Draws(torch.Generator().manual_seed(0))
    found = np.array([overlapping(10, draws, windows) for _ in range(2000)])
    first, begin, end, last = found.T
    assert (first >= 0).all()
    assert (first <= begin).all()
    assert (end - begin >= 2).all()
    assert (end <= last).all()
    assert (last <= 10).all()
    assert {(end - begin).min(), (end - begin).max()} == {2, 10}
    assert (first < begin).any()
    assert (last > end).any()
