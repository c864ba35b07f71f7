"""The part of some anchors in the contrastive loss, for processes that share the loss of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrastive_har.learning.negatives import Anchors, Negatives, TwoViewLoss


def nt_xent_of_anchors(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float,
    negatives: Negatives,
    clusters: tuple[Tensor, Tensor] | None,
    anchors: slice,
) -> Tensor:
    """Return what some anchors add to the loss that ``losses.contrast`` defines; it takes the same arguments.

    The parts of all anchors sum to the loss. Each takes the memory and time of matrices (anchors, batch).
    """
    precision = torch.promote_types(view_a.dtype, torch.float32)
    views = view_a.detach().to(precision), view_b.detach().to(precision)
    gradients = torch.zeros_like(views[0]), torch.zeros_like(views[1])
    windows = torch.arange(len(view_a), device=view_a.device)
    itself = windows[anchors]
    loss = views[0].new_zeros(())
    for one, other in ((0, 1), (1, 0)):
        view, partner = views[one], views[other]
        own, of_own = view[anchors], gradients[one][anchors]
        labels = windows if clusters is None else clusters[one]
        across = own @ partner.T / temperature
        within = own @ view.T / temperature if negatives.within else None
        positive = across.gather(1, itself[:, None]).squeeze(1)
        kept = labels[anchors, None] != labels
        rows = Anchors.shifted(across, within, kept, negatives.concentration, -1 / temperature)
        pull = rows.pull(positive, temperature, negatives)
        loss += pull.loss.sum()
        gradient = rows.across.gradient_of_rows(pull)
        gradient.scatter_add_(1, itself[:, None], -pull.positive[:, None])
        of_own.addmm_(gradient, partner)
        gradients[other].addmm_(gradient.T, own)
        if rows.within is not None:
            gradient = rows.within.gradient_of_rows(pull)
            of_own.addmm_(gradient, view)
            gradients[one].addmm_(gradient.T, own)
    count = 2 * len(view_a)
    for_a, for_b = (gradient.div_(count * temperature).to(view_a.dtype) for gradient in gradients)
    known: Tensor = _KnownGradient.apply(view_a, view_b, loss / count, for_a, for_b)  # type: ignore[no-untyped-call]
    return known


class _KnownGradient(TwoViewLoss):
    """A loss of two views whose gradients are known."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, loss: Tensor, for_a: Tensor, for_b: Tensor) -> Tensor:
        ctx.save_for_backward(for_a, for_b)
        return loss
