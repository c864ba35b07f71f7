from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.learning.examples import cluster_nt_xent, nt_xent


def literal_cluster_nt_xent(a: np.ndarray, b: np.ndarray, c_a: np.ndarray, c_b: np.ndarray, tau: float) -> float:
    """The formula, one anchor and one negative after the other."""

    def one_side(p: np.ndarray, q: np.ndarray, clusters: np.ndarray, i: int) -> float:
        positive = np.exp(p[i] @ q[i] / tau)
        negatives = 0.0
        for k in range(len(p)):
            if clusters[k] != clusters[i]:
                negatives += np.exp(p[i] @ q[k] / tau) + np.exp(p[i] @ p[k] / tau)
        return -np.log(positive / (positive + negatives))

    losses = [one_side(a, b, c_a, i) + one_side(b, a, c_b, i) for i in range(len(a))]
    return float(np.mean(losses)) / 2


def literal_nt_xent(a: np.ndarray, b: np.ndarray, tau: float) -> float:
    """SimCLR's formula over all 2N views."""
    views = np.concatenate([a, b])
    n = len(a)
    total = 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        others = sum(np.exp(views[i] @ views[k] / tau) for k in range(2 * n) if k != i)
        total += -np.log(np.exp(views[i] @ views[j] / tau) / others)
    return total / (2 * n)


def unit_vectors(count: int, features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(2, count, features, generator=generator, dtype=torch.float64)
    a, b = functional.normalize(views, dim=2)
    return a, b


@given(count=st.integers(2, 12), clusters=st.integers(1, 5), seed=st.integers(0, 10**6), tau=st.floats(0.05, 2))
@settings(max_examples=60, deadline=None)
def test_cluster_nt_xent_is_its_formula(count: int, clusters: int, seed: int, tau: float) -> None:
    a, b = unit_vectors(count, 6, seed)
    rng = np.random.default_rng(seed)
    c_a, c_b = rng.integers(0, clusters, (2, count))
    loss = cluster_nt_xent(a, b, torch.from_numpy(c_a), torch.from_numpy(c_b), tau)
    assert loss.item() == pytest.approx(
        literal_cluster_nt_xent(a.numpy(), b.numpy(), c_a, c_b, tau), rel=1e-9, abs=1e-9
    )


@given(count=st.integers(2, 12), seed=st.integers(0, 10**6), tau=st.floats(0.05, 2))
@settings(max_examples=30, deadline=None)
def test_nt_xent_is_its_formula(count: int, seed: int, tau: float) -> None:
    a, b = unit_vectors(count, 6, seed)
    assert nt_xent(a, b, tau).item() == pytest.approx(literal_nt_xent(a.numpy(), b.numpy(), tau), rel=1e-9)


def test_singletons_give_nt_xent() -> None:
    a, b = unit_vectors(16, 8, 0)
    labels = torch.randperm(16)
    torch.testing.assert_close(cluster_nt_xent(a, b, labels, labels + 5, 0.1), nt_xent(a, b, 0.1))


def test_one_cluster_gives_no_loss_and_no_gradient() -> None:
    a, b = unit_vectors(16, 8, 0)
    a.requires_grad_()
    same = torch.zeros(16, dtype=torch.long)
    loss = cluster_nt_xent(a, b, same, same, 0.1)
    (gradient,) = torch.autograd.grad(loss, a)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_names_of_clusters_do_not_matter(seed: int) -> None:
    a, b = unit_vectors(12, 6, seed)
    labels = torch.randint(0, 4, (2, 12), generator=torch.Generator().manual_seed(seed))
    renamed = torch.tensor([7, 0, 3, 100])[labels]
    torch.testing.assert_close(cluster_nt_xent(a, b, *labels, 0.1), cluster_nt_xent(a, b, *renamed, 0.1))


def test_swapping_views_and_their_clusters_changes_nothing() -> None:
    a, b = unit_vectors(12, 6, 3)
    c_a, c_b = torch.randint(0, 3, (2, 12))
    torch.testing.assert_close(cluster_nt_xent(a, b, c_a, c_b, 0.1), cluster_nt_xent(b, a, c_b, c_a, 0.1))


def autograd_loss(a: torch.Tensor, b: torch.Tensor, c_a: torch.Tensor, c_b: torch.Tensor, tau: float) -> torch.Tensor:
    """The same loss through masked logits, for automatic differentiation."""

    def side(p: torch.Tensor, q: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
        same = clusters[:, None] == clusters
        across = (p @ q.T / tau).masked_fill(same & ~torch.eye(len(p), dtype=torch.bool), -torch.inf)
        within = (p @ p.T / tau).masked_fill(same, -torch.inf)
        return torch.logsumexp(torch.cat([across, within], 1), 1) - across.diagonal()

    return (side(a, b, c_a) + side(b, a, c_b)).mean() / 2


@given(count=st.integers(2, 20), clusters=st.integers(1, 6), seed=st.integers(0, 10**6), tau=st.floats(0.05, 2))
@settings(max_examples=40, deadline=None)
def test_closed_form_gradient_is_the_automatic_one(count: int, clusters: int, seed: int, tau: float) -> None:
    a, b = (view.requires_grad_() for view in unit_vectors(count, 6, seed))
    c_a, c_b = torch.randint(0, clusters, (2, count), generator=torch.Generator().manual_seed(seed))
    mine = torch.autograd.grad(3 * cluster_nt_xent(a, b, c_a, c_b, tau), (a, b))
    theirs = torch.autograd.grad(3 * autograd_loss(a, b, c_a, c_b, tau), (a, b))
    for closed, automatic in zip(mine, theirs, strict=True):
        torch.testing.assert_close(closed, automatic)


def test_single_precision_at_the_smallest_temperature_stays_finite() -> None:
    a = functional.normalize(torch.randn(64, 16), dim=1)
    labels = torch.arange(64)
    a.requires_grad_()
    loss = cluster_nt_xent(a, -a.detach(), labels, labels, 0.03)
    (gradient,) = torch.autograd.grad(loss, a)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    assert loss.item() > 30, "the positive is the least similar pair there is"
