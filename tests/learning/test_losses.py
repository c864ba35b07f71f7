"""The contrastive loss with weights of the negatives, against a literal transcription of its formula."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contrastive_har.learning import negatives as weighted
from contrastive_har.learning.losses import contrast
from contrastive_har.learning.negatives import Negatives


def unit_views(count: int, features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(2, count, features, generator=generator, dtype=torch.float64)
    a, b = functional.normalize(views + 0.7 * views[:1], dim=2)
    return a, b


def literal(a: np.ndarray, b: np.ndarray, tau: float, negatives: Negatives, clusters: np.ndarray) -> float:
    """The formula, one anchor and one negative after the other."""
    beta, prior = negatives.concentration, negatives.class_prior

    def one_side(p: np.ndarray, q: np.ndarray, labels: np.ndarray, i: int) -> float:
        positive = np.exp(p[i] @ q[i] / tau)
        similarities = [p[i] @ q[k] / tau for k in range(len(p)) if labels[k] != labels[i]]
        if negatives.within:
            similarities += [p[i] @ p[k] / tau for k in range(len(p)) if labels[k] != labels[i]]
        if not similarities:
            return 0.0
        weights = [np.exp(beta * s) for s in similarities]
        hard = sum(w * np.exp(s) for w, s in zip(weights, similarities, strict=True)) / np.mean(weights)
        count = len(similarities)
        debiased = max((hard - prior * count * positive) / (1 - prior), count * np.exp(-1 / tau))
        return float(-np.log(positive / (positive + debiased)))

    losses = [one_side(a, b, clusters[0], i) + one_side(b, a, clusters[1], i) for i in range(len(a))]
    return float(np.mean(losses)) / 2


def automatic(
    a: torch.Tensor, b: torch.Tensor, tau: float, negatives: Negatives, clusters: torch.Tensor
) -> torch.Tensor:
    """The same in double precision for automatic differentiation."""
    beta, prior = negatives.concentration, negatives.class_prior

    def side(p: torch.Tensor, q: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        kept = (labels[:, None] != labels).to(p.dtype)
        s = p @ q.T / tau
        positive = s.diagonal().exp()
        if negatives.within:
            s, kept = torch.cat([s, p @ p.T / tau], 1), torch.cat([kept, kept], 1)
        count = kept.sum(1)
        weights = (beta * s).exp() * kept
        hard = (weights * s.exp()).sum(1) / (weights.sum(1) / count)
        debiased = torch.maximum((hard - prior * count * positive) / (1 - prior), count * np.exp(-1 / tau))
        return -(positive / (positive + debiased)).log()

    return (side(a, b, clusters[0]) + side(b, a, clusters[1])).mean() / 2


GRID = [
    (beta, prior, tau, within)
    for beta in (0.0, 0.5, 1.0, 4.0)
    for prior in (0.0, 0.1, 1 / 27)
    for tau in (0.1, 0.5)
    for within in (False, True)
]


@pytest.mark.parametrize(("beta", "prior", "tau", "within"), GRID)
@pytest.mark.parametrize("count", [2, 3, 17])
def test_loss_and_gradient_are_the_formula(beta: float, prior: float, tau: float, within: bool, count: int) -> None:
    a, b = (view.requires_grad_() for view in unit_views(count, 6, count))
    singletons = torch.arange(count).repeat(2, 1)
    negatives = Negatives(within, beta, prior)
    loss = contrast(a, b, tau, negatives)
    assert loss.item() == pytest.approx(
        literal(a.detach().numpy(), b.detach().numpy(), tau, negatives, singletons.numpy()), rel=1e-9, abs=1e-12
    )
    mine = torch.autograd.grad(3 * loss, (a, b))
    theirs = torch.autograd.grad(3 * automatic(a, b, tau, negatives, singletons), (a, b))
    for closed, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(closed, expected)


@pytest.mark.parametrize(("beta", "prior", "tau", "within"), GRID)
def test_clusters_choose_the_weighted_negatives(beta: float, prior: float, tau: float, within: bool) -> None:
    a, b = (view.requires_grad_() for view in unit_views(15, 6, 3))
    clusters = torch.randint(0, 4, (2, 15), generator=torch.Generator().manual_seed(5))
    negatives = Negatives(within, beta, prior)
    loss = contrast(a, b, tau, negatives, (clusters[0], clusters[1]))
    expected = literal(a.detach().numpy(), b.detach().numpy(), tau, negatives, clusters.numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    mine = torch.autograd.grad(loss, (a, b))
    theirs = torch.autograd.grad(automatic(a, b, tau, negatives, clusters), (a, b))
    for closed, automatic_gradient in zip(mine, theirs, strict=True):
        torch.testing.assert_close(closed, automatic_gradient)


@pytest.mark.parametrize(("beta", "prior", "tau", "within"), GRID)
@pytest.mark.parametrize("clustered", [False, True])
def test_parts_of_anchors_sum_to_the_loss(beta: float, prior: float, tau: float, within: bool, clustered: bool) -> None:
    """Their gradients too, with respect to all projections."""
    a, b = (view.requires_grad_() for view in unit_views(15, 6, 3))
    labels = torch.randint(0, 4, (2, 15), generator=torch.Generator().manual_seed(5))
    clusters = (labels[0], labels[1]) if clustered else None
    negatives = Negatives(within, beta, prior)
    whole = contrast(a, b, tau, negatives, clusters)
    parts = [contrast(a, b, tau, negatives, clusters, slice(*ends)) for ends in ((0, 4), (4, 5), (5, 15))]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)
    assert all(part.item() > 0 for part in parts)
    expected = torch.autograd.grad(whole, (a, b))
    found = torch.autograd.grad(3 * torch.stack(parts).sum(), (a, b))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, 3 * theirs)


@pytest.mark.parametrize(("beta", "prior", "tau", "within"), GRID)
@pytest.mark.parametrize("clustered", [False, True])
def test_shifted_exponentials_give_the_same(
    beta: float, prior: float, tau: float, within: bool, clustered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Double precision never needs them in the other tests."""
    a, b = (view.requires_grad_() for view in unit_views(15, 6, 3))
    labels = torch.randint(0, 4, (2, 15), generator=torch.Generator().manual_seed(5))
    clusters = (labels[0], labels[1]) if clustered else None
    shared = weighted.weighted_nt_xent(a, b, tau, Negatives(within, beta, prior), clusters)
    monkeypatch.setattr(weighted, "_SHARE_OF_RANGE", 0)
    shifted = weighted.weighted_nt_xent(a, b, tau, Negatives(within, beta, prior), clusters)
    torch.testing.assert_close(shifted, shared, rtol=1e-12, atol=1e-12)
    for one, other in zip(torch.autograd.grad(shifted, (a, b)), torch.autograd.grad(shared, (a, b)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.9, 5.0, 8.0, 40.0])
@pytest.mark.parametrize("prior", [0.0, 0.1])
def test_single_precision_is_accurate_on_both_sides_of_the_limit(beta: float, prior: float) -> None:
    """Below a concentration of 4.9 at this temperature the directions share their exponentials."""
    a, b = unit_views(200, 16, 2)
    a[:20], b[:20] = b[20:40], -a[20:40]  # similarities from -1 to 1
    expected, results = [], []
    for precision, into in ((torch.float64, expected), (torch.float32, results)):
        p, q = (view.to(precision).requires_grad_() for view in (a, b))
        loss = contrast(p, q, 0.1, Negatives(True, beta, prior))
        into += [loss.detach(), *torch.autograd.grad(loss, (p, q))]
    for result, exact in zip(results, expected, strict=True):
        assert float((result - exact).norm() / exact.norm()) < 2e-5


@pytest.mark.parametrize("within", [False, True])
def test_hardly_any_weight_is_info_nce(within: bool) -> None:
    """The general computation tends to the special one that is used without weights."""
    a, b = (view.requires_grad_() for view in unit_views(33, 8, 1))
    plain = contrast(a, b, 0.1, Negatives(within))
    general = contrast(a, b, 0.1, Negatives(within, class_prior=1e-12))
    logits = torch.cat([a @ b.T, (a @ a.T).fill_diagonal_(-torch.inf)], 1) / 0.1 if within else a @ b.T / 0.1
    columns = torch.cat([b @ a.T, (b @ b.T).fill_diagonal_(-torch.inf)], 1) / 0.1 if within else b @ a.T / 0.1
    targets = torch.arange(33)
    info_nce = (functional.cross_entropy(logits, targets) + functional.cross_entropy(columns, targets)) / 2
    torch.testing.assert_close(plain, info_nce)
    torch.testing.assert_close(general, info_nce)
    for one, other in zip(torch.autograd.grad(plain, (a, b)), torch.autograd.grad(general, (a, b)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prior", [0.0, 0.1])
def test_a_high_concentration_stays_finite(dtype: torch.dtype, prior: float) -> None:
    a, b = (view.to(dtype).requires_grad_() for view in unit_views(64, 16, 2))
    for other in (b, -a.detach(), a.detach().clone()):
        loss = contrast(a, other, 0.05, Negatives(True, 8.0, prior))
        (gradient,) = torch.autograd.grad(loss, a)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert gradient.dtype == dtype


def test_an_anchor_without_negatives_has_no_loss_and_no_gradient() -> None:
    a, b = (view.requires_grad_() for view in unit_views(8, 6, 0))
    same = torch.zeros(8, dtype=torch.long)
    loss = contrast(a, b, 0.1, Negatives(True, 1.0, 0.1), (same, same))
    assert loss.item() == 0
    for gradient in torch.autograd.grad(loss, (a, b)):
        assert not gradient.any()


def test_weights_move_the_gradient_to_the_most_similar_negative() -> None:
    a, b = unit_views(12, 6, 4)
    a.requires_grad_()
    shares = []
    for beta in (0.0, 2.0, 8.0):
        b_free = b.clone().requires_grad_()
        contrast(a, b_free, 0.2, Negatives(False, beta)).backward()
        hardest = (a[0] @ b.T).detach().index_fill(0, torch.tensor([0]), -2).argmax()
        shares.append(float(b_free.grad[hardest].norm() / b_free.grad.norm()))  # type: ignore[index, union-attr]
    assert shares[0] < shares[-1]
