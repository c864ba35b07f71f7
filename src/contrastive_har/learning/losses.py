"""Contrastive objectives, with their gradients in closed form.

Automatic differentiation through an N x 2N matrix of logits costs several times the convolutions' share of memory
traffic; the gradient of a softmax cross-entropy is known in closed form. Tests compare loss and gradient with a literal
transcription of the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SMALLEST_TEMPERATURE = 0.03
"""Below this, exp((s - 1) / temperature) of the least similar pair is no longer a normal float32."""


def nt_xent(view_a: Tensor, view_b: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent (Chen et al. 2020, eq. 1): Cluster-NT-Xent in which every sample is a cluster of its own.

    Args:
        view_a: L2-normalised projections (batch, features).
        view_b: L2-normalised projections of the same windows' other view.
        temperature: Divides the cosine similarities.
    """
    singletons = torch.arange(len(view_a), device=view_a.device)
    return cluster_nt_xent(view_a, view_b, singletons, singletons, temperature)


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
    loss: Tensor = _ClusterNTXent.apply(  # type: ignore[no-untyped-call]
        view_a, view_b, clusters_a, clusters_b, temperature
    )
    return loss


class _ClusterNTXent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, clusters_a: Tensor, clusters_b: Tensor, temperature: float) -> Tensor:
        # Similarities of unit vectors are at most 1: shifting by 1 / temperature bounds every exponential by 1.
        exp_ab = (a @ b.T).sub_(1).div_(temperature).exp_()
        other_a = (clusters_a[:, None] != clusters_a).to(a.dtype)
        other_b = (clusters_b[:, None] != clusters_b).to(a.dtype)
        positive = exp_ab.diagonal()
        # Exponentials of the negatives, by anchor's view and other's view; rows are anchors of a, columns of b.
        from_a = exp_ab * other_a
        from_b = exp_ab * other_b
        within_a = (a @ a.T).sub_(1).div_(temperature).exp_().mul_(other_a)
        within_b = (b @ b.T).sub_(1).div_(temperature).exp_().mul_(other_b)
        denominator_a = positive + from_a.sum(1) + within_a.sum(1)
        denominator_b = positive + from_b.sum(0) + within_b.sum(1)
        loss = (denominator_a.log() + denominator_b.log() - 2 * positive.log()).mean() / 2

        # Softmax probabilities are the gradients of the logits, minus one at each positive.
        inverse_a, inverse_b = denominator_a.reciprocal(), denominator_b.reciprocal()
        across = from_a.mul_(inverse_a[:, None]).add_(from_b.mul_(inverse_b))
        across.diagonal().add_(positive * (inverse_a + inverse_b) - 2)
        within_a.mul_(inverse_a[:, None] + inverse_a)
        within_b.mul_(inverse_b[:, None] + inverse_b)
        scale = 1 / (2 * len(a) * temperature)
        ctx.save_for_backward(
            torch.addmm(across @ b, within_a, a).mul_(scale), torch.addmm(across.T @ a, within_b, b).mul_(scale)
        )
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        for_a, for_b = ctx.saved_tensors
        return gradient * for_a, gradient * for_b, None, None, None
