"""Contrastive objectives, with their gradients in closed form.

Automatic differentiation through an N x 2N matrix of logits costs several times the convolutions' share of memory
traffic; the gradient of a softmax cross-entropy is known in closed form. Tests compare loss and gradient with a literal
transcription of the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrastive_har.learning.anchors import nt_xent_of_anchors
from contrastive_har.learning.negatives import Negatives, TwoViewLoss, only, weighted_nt_xent

SMALLEST_TEMPERATURE = 0.03
"""Below this, exp((s - 1) / temperature) of the least similar pair is no longer a normal float32."""

_ALL = Negatives()


def contrast(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float,
    negatives: Negatives = _ALL,
    clusters: tuple[Tensor, Tensor] | None = None,
    anchors: slice | None = None,
) -> Tensor:
    """Return the contrastive loss of two views of a batch, averaged over windows and both directions.

    With s = p q' / temperature, M negatives k of anchor i, and the concentration beta and class prior tau::

        w_ik = exp(beta s_ik)
        R_i  = sum over k of w_ik exp(s_ik) / mean over k of w_ik
        G_i  = max((R_i - tau M exp(s_ii)) / (1 - tau), M exp(-1 / temperature))
        L_i  = -log(exp(s_ii) / (exp(s_ii) + G_i))

    Without weights and prior this is InfoNCE: with negatives within views NT-Xent (Chen et al. 2020, eq. 1) and, with
    clusters, Cluster-NT-Xent (ClusterCLHAR, eq. 2 and algorithm 1); without them the loss of contrastive multiview
    coding. The positive always stays in the denominator.

    Args:
        view_a: L2-normalised projections (batch, features).
        view_b: L2-normalised projections of the same windows' other view, perhaps of another modality.
        temperature: Divides the cosine similarities; at least ``SMALLEST_TEMPERATURE``.
        negatives: Which negatives count, and their weights.
        clusters: Cluster of each window in view a and in view b, each (batch,); windows in the anchor's cluster in the
            anchor's view are no negatives. None: all other windows are.
        anchors: Windows whose part in the loss is returned, where several processes share it; None: all.
    """
    if anchors is not None:
        return nt_xent_of_anchors(view_a, view_b, temperature, negatives, clusters, anchors)
    if negatives.concentration or negatives.class_prior:
        return weighted_nt_xent(view_a, view_b, temperature, negatives, clusters)
    loss: Tensor = _ClusterNTXent.apply(  # type: ignore[no-untyped-call]
        view_a, view_b, clusters, temperature, negatives.within
    )
    return loss


class _ClusterNTXent(TwoViewLoss):
    """The loss without weights and prior, which needs half the exponentials."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, clusters: tuple[Tensor, Tensor] | None, temperature: float, within: bool
    ) -> Tensor:
        kept_a, kept_b = (None, None) if clusters is None else ((of[:, None] != of).to(a.dtype) for of in clusters)
        # Similarities of unit vectors are at most 1: shifting by 1 / temperature bounds every exponential by 1.
        exp_ab = (a @ b.T).sub_(1).div_(temperature).exp_()
        positive = exp_ab.diagonal().clone()
        # Exponentials of the negatives, by anchor's view and other's view; rows are anchors of a, columns of b.
        from_a, from_b = only(exp_ab, kept_a), only(exp_ab, kept_b)
        del exp_ab  # matrices (batch, batch) are what limits the batch
        denominator_a = positive + from_a.sum(1)
        denominator_b = positive + from_b.sum(0)
        if within:
            within_a = only((a @ a.T).sub_(1).div_(temperature).exp_(), kept_a)
            within_b = only((b @ b.T).sub_(1).div_(temperature).exp_(), kept_b)
            denominator_a = denominator_a + within_a.sum(1)
            denominator_b = denominator_b + within_b.sum(1)
        loss = (denominator_a.log() + denominator_b.log() - 2 * positive.log()).mean() / 2

        # Softmax probabilities are the gradients of the logits, minus one at each positive.
        inverse_a, inverse_b = denominator_a.reciprocal(), denominator_b.reciprocal()
        across = (from_a * inverse_a[:, None]).add_(from_b.mul_(inverse_b))
        across.diagonal().add_(positive * (inverse_a + inverse_b) - 2)
        for_a, for_b = across @ b, across.T @ a
        if within:
            within_a.mul_(inverse_a[:, None] + inverse_a)
            within_b.mul_(inverse_b[:, None] + inverse_b)
            for_a, for_b = torch.addmm(for_a, within_a, a), torch.addmm(for_b, within_b, b)
        scale = 1 / (2 * len(a) * temperature)
        ctx.save_for_backward(for_a.mul_(scale), for_b.mul_(scale))
        return loss
