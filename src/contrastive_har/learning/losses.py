"""Contrastive objectives, with their gradients in closed form.

Automatic differentiation through an N x 2N matrix of logits costs several times the convolutions' share of memory
traffic; the gradient of a softmax cross-entropy is known in closed form. Tests compare loss and gradient with a literal
transcription of the formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SMALLEST_TEMPERATURE = 0.03
"""Below this, exp((s - 1) / temperature) of the least similar pair is no longer a normal float32."""


@dataclass(frozen=True)
class Negatives:
    """Which other windows an anchor is pushed away from, and how strongly.

    Attributes:
        within: Whether the anchor's own view has negatives too, and not only the other view.
        concentration: Weights are exp(concentration x similarity / temperature), so that similar windows count more; 0
            weighs all alike (Robinson et al. 2021, arXiv 2010.04592: beta).
        class_prior: Probability that another window shows the anchor's activity; the expected share of such windows is
            taken out of the negatives (Chuang et al. 2020, arXiv 2007.00224: tau plus).
    """

    within: bool = True
    concentration: float = 0.0
    class_prior: float = 0.0


def contrast(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float,
    negatives: Negatives = Negatives(),
    clusters: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the contrastive loss of two views of a batch, averaged over windows and both directions.

    With s = p q' / temperature, M negatives k of anchor i, and the concentration beta and class prior tau::

        w_ik = exp(beta s_ik)
        R_i  = sum over k of w_ik exp(s_ik) / mean over k of w_ik
        G_i  = max((R_i - tau M exp(s_ii)) / (1 - tau), M exp(-1 / temperature))
        L_i  = -log(exp(s_ii) / (exp(s_ii) + G_i))

    Without weights and prior this is InfoNCE: NT-Xent with negatives within views, the loss of contrastive multiview
    coding without them.

    Args:
        view_a: L2-normalised projections (batch, features).
        view_b: L2-normalised projections of the same windows' other view, perhaps of another modality.
        temperature: Divides the cosine similarities; at least ``SMALLEST_TEMPERATURE``.
        negatives: Which negatives count, and their weights.
        clusters: Cluster of each window in view a and in view b, each (batch,); windows in the anchor's cluster in the
            anchor's view are no negatives. None: all other windows are.
    """
    if clusters is None:
        singletons = torch.arange(len(view_a), device=view_a.device)
        clusters = (singletons, singletons)
    if negatives.concentration == 0 and negatives.class_prior == 0:
        alike: Tensor = _ClusterNTXent.apply(  # type: ignore[no-untyped-call]
            view_a, view_b, *clusters, temperature, negatives.within
        )
        return alike
    loss: Tensor = _WeightedNTXent.apply(  # type: ignore[no-untyped-call]
        view_a, view_b, *clusters, temperature, negatives
    )
    return loss


def nt_xent(view_a: Tensor, view_b: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent (Chen et al. 2020, eq. 1) of L2-normalised projections (batch, features) of two views."""
    return contrast(view_a, view_b, temperature)


def cluster_nt_xent(
    view_a: Tensor, view_b: Tensor, clusters_a: Tensor, clusters_b: Tensor, temperature: float
) -> Tensor:
    """Return Cluster-NT-Xent (ClusterCLHAR, eq. 2 and algorithm 1): negatives come from other clusters only.

    The positive always stays in the denominator, each view is clustered separately, and the clustering of the anchor's
    view masks its negatives from both views. With N windows and s = p q' / temperature::

        L_i^a = -s_ii^ab + log(exp(s_ii^ab) + sum over {k: c_a(k) != c_a(i)} of (exp(s_ik^ab) + exp(s_ik^aa)))
        loss  = mean over i of (L_i^a + L_i^b) / 2

    Args:
        view_a: L2-normalised projections (batch, features).
        view_b: L2-normalised projections of the same windows' other view.
        clusters_a: Cluster of each window in view a (batch,).
        clusters_b: Cluster of each window in view b (batch,).
        temperature: Divides the cosine similarities; at least ``SMALLEST_TEMPERATURE``.
    """
    return contrast(view_a, view_b, temperature, clusters=(clusters_a, clusters_b))


class _ClusterNTXent(torch.autograd.Function):
    """The loss without weights and prior, which needs half the exponentials."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, clusters_a: Tensor, clusters_b: Tensor, temperature: float, within: bool
    ) -> Tensor:
        # Similarities of unit vectors are at most 1: shifting by 1 / temperature bounds every exponential by 1.
        exp_ab = (a @ b.T).sub_(1).div_(temperature).exp_()
        other_a = (clusters_a[:, None] != clusters_a).to(a.dtype)
        other_b = (clusters_b[:, None] != clusters_b).to(a.dtype)
        positive = exp_ab.diagonal()
        # Exponentials of the negatives, by anchor's view and other's view; rows are anchors of a, columns of b.
        from_a = exp_ab * other_a
        from_b = exp_ab * other_b
        denominator_a = positive + from_a.sum(1)
        denominator_b = positive + from_b.sum(0)
        if within:
            within_a = (a @ a.T).sub_(1).div_(temperature).exp_().mul_(other_a)
            within_b = (b @ b.T).sub_(1).div_(temperature).exp_().mul_(other_b)
            denominator_a = denominator_a + within_a.sum(1)
            denominator_b = denominator_b + within_b.sum(1)
        loss = (denominator_a.log() + denominator_b.log() - 2 * positive.log()).mean() / 2

        # Softmax probabilities are the gradients of the logits, minus one at each positive.
        inverse_a, inverse_b = denominator_a.reciprocal(), denominator_b.reciprocal()
        across = from_a.mul_(inverse_a[:, None]).add_(from_b.mul_(inverse_b))
        across.diagonal().add_(positive * (inverse_a + inverse_b) - 2)
        for_a, for_b = across @ b, across.T @ a
        if within:
            within_a.mul_(inverse_a[:, None] + inverse_a)
            within_b.mul_(inverse_b[:, None] + inverse_b)
            for_a, for_b = torch.addmm(for_a, within_a, a), torch.addmm(for_b, within_b, b)
        scale = 1 / (2 * len(a) * temperature)
        ctx.save_for_backward(for_a.mul_(scale), for_b.mul_(scale))
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        (gradient,) = gradients
        for_a, for_b = ctx.saved_tensors
        return gradient * for_a, gradient * for_b, None, None, None, None


class _WeightedNTXent(torch.autograd.Function):
    """The loss with weights or a prior, in log space: finite for any concentration and precision."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, clusters_a: Tensor, clusters_b: Tensor, temperature: float, negatives: Negatives
    ) -> Tensor:
        precision = torch.promote_types(a.dtype, torch.float32)
        p, q = a.to(precision), b.to(precision)
        across = (p @ q.T) / temperature
        of_a = _OneDirection(across, p @ p.T / temperature if negatives.within else None, clusters_a)
        of_b = _OneDirection(across.T, q @ q.T / temperature if negatives.within else None, clusters_b)
        loss_a, from_a, within_a = of_a.loss_and_gradients(temperature, negatives)
        loss_b, from_b, within_b = of_b.loss_and_gradients(temperature, negatives)
        gradient = from_a + from_b.T
        for_a, for_b = gradient @ q, gradient.T @ p
        if within_a is not None and within_b is not None:
            for_a, for_b = for_a + (within_a + within_a.T) @ p, for_b + (within_b + within_b.T) @ q
        scale = 1 / (2 * len(a) * temperature)
        ctx.save_for_backward((for_a * scale).to(a.dtype), (for_b * scale).to(b.dtype))
        return (loss_a + loss_b).mean() / 2

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        (gradient,) = gradients
        for_a, for_b = ctx.saved_tensors
        return gradient * for_a, gradient * for_b, None, None, None, None


@dataclass(frozen=True)
class _OneDirection:
    """The similarities of all anchors of one view.

    Attributes:
        across: Scaled similarities to the other view (batch, batch); positives are on the diagonal.
        within: Scaled similarities inside the anchors' view (batch, batch); None without such negatives.
        clusters: Clusters in the anchors' view (batch,).
    """

    across: Tensor
    within: Tensor | None
    clusters: Tensor

    def loss_and_gradients(self, temperature: float, negatives: Negatives) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the loss (batch,) and its gradients with respect to ``across`` and ``within``."""
        beta, prior = negatives.concentration, negatives.class_prior
        positive = self.across.diagonal()
        similarities = self.across if self.within is None else torch.cat([self.across, self.within], dim=1)
        other = self.clusters[:, None] != self.clusters
        kept = other if self.within is None else torch.cat([other, other], dim=1)
        count = kept.sum(1).to(positive.dtype)
        peak = similarities.masked_fill(~kept, -torch.inf).amax(1).clamp(min=-1 / temperature)
        shifted = (similarities - peak[:, None]).masked_fill(~kept, -torch.inf)
        weights = (beta * shifted).exp() if beta else kept.to(positive.dtype)
        weighted = weights * shifted.exp()
        # An anchor without negatives has sums of zero; dividing by one instead leaves its loss and gradients at zero.
        none = (count == 0).to(positive.dtype)
        total, weight = weighted.sum(1) + none, weights.sum(1) + none
        hard = count.log() + peak + total.log() - weight.log()  # log R
        # The share of the positives' expectation in R; at 1 or above, nothing is left but the floor.
        share = torch.where(count > 0, prior * (positive - peak - total.log() + weight.log()).exp(), 0 * positive)
        rest = torch.where(share < 1, 1 - share, 0 * share)
        least = count.log() - 1 / temperature
        debiased = hard + rest.log() - math.log1p(-prior)
        floored = debiased < least
        negative = torch.where(floored, least, debiased)  # log G
        loss = torch.nn.functional.softplus(negative - positive)

        pushed = torch.sigmoid(negative - positive)  # gradient with respect to log G
        free = torch.where(floored | (count == 0), 0 * rest, pushed / rest.clamp(min=torch.finfo(rest.dtype).tiny))
        gradient = weighted * ((1 + beta) * free / total)[:, None]
        if beta:
            gradient = gradient - weights * (beta * free / weight)[:, None]
        size = len(positive)
        across, within = gradient[:, :size], gradient[:, size:] if self.within is not None else None
        across = across.clone()
        across.diagonal().sub_(pushed + free * share)
        return loss, across, within
