"""Which negatives of an anchor count, and the contrastive loss with weights of the negatives.

Its gradient is in closed form, as in ``losses``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_SHARE_OF_RANGE = 2 / 3
"""Share of the exponents of a floating-point type that a single exponential may use: sums and quotients need more."""


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


def weighted_nt_xent(
    view_a: Tensor,
    view_b: Tensor,
    temperature: float,
    negatives: Negatives,
    clusters: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the loss that ``losses.contrast`` defines, for any weights and prior; it takes the same arguments."""
    loss: Tensor = _WeightedNTXent.apply(view_a, view_b, clusters, temperature, negatives)  # type: ignore[no-untyped-call]
    return loss


def only(terms: Tensor, kept: Tensor | None) -> Tensor:
    """Return the terms (batch, batch) of the negatives alone.

    Args:
        terms: A number for each anchor and other window.
        kept: Whether that window is a negative (batch, batch). None: all but the anchor itself are, and ``terms`` are
            overwritten.
    """
    return terms.fill_diagonal_(0) if kept is None else terms * kept


class TwoViewLoss(torch.autograd.Function):
    """A loss of five inputs, the first two of which are views whose gradients the forward pass saves."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return the saved gradients, times that of the loss; none for the other inputs."""
        (gradient,) = gradients
        for_a, for_b = ctx.saved_tensors
        return gradient * for_a, gradient * for_b, None, None, None


class _WeightedNTXent(TwoViewLoss):
    """The loss with weights or a prior: finite for any concentration and precision.

    Its time is that of the passes over matrices (batch, batch), hence the operations in place. Both directions share
    their exponentials unless these could leave the range of the numbers.
    """

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        clusters: tuple[Tensor, Tensor] | None,
        temperature: float,
        negatives: Negatives,
    ) -> Tensor:
        precision = torch.promote_types(a.dtype, torch.float32)
        p, q = a.to(precision), b.to(precision)
        scaled_p, scaled_q = p / temperature, q / temperature
        across = scaled_p @ q.T
        within = (scaled_p @ p.T, scaled_q @ q.T) if negatives.within else (None, None)
        kept_a, kept_b = (None, None) if clusters is None else (labels[:, None] != labels for labels in clusters)
        positive = across.diagonal().clone()
        beta = negatives.concentration
        shared = (1 + beta) / temperature < _SHARE_OF_RANGE * math.log(torch.finfo(precision).max)
        if shared:
            terms = _Terms.of(across, beta)
            of_a = Anchors.sharing(terms, within[0], kept_a, beta)
            of_b = Anchors.sharing(terms.transposed, within[1], kept_b, beta)
        else:
            lowest = -1 / temperature
            of_a = Anchors.shifted(across, within[0], kept_a, beta, lowest)
            of_b = Anchors.shifted(across.T, within[1], kept_b, beta, lowest)
        pull_a, pull_b = of_a.pull(positive, temperature, negatives), of_b.pull(positive, temperature, negatives)
        gradient = of_a.across.gradient(pull_a, of_b.across.transposed, pull_b)
        gradient.diagonal().sub_(pull_a.positive + pull_b.positive)
        for_a, for_b = gradient @ q, gradient.T @ p
        for anchors, pull, view, total in ((of_a, pull_a, p, for_a), (of_b, pull_b, q, for_b)):
            if anchors.within is not None:
                columns = anchors.within if shared else anchors.within.transposed  # shared, they are symmetric
                total.addmm_(anchors.within.gradient(pull, columns, pull), view)
        scale = 1 / (2 * len(a) * temperature)
        ctx.save_for_backward(for_a.mul_(scale).to(a.dtype), for_b.mul_(scale).to(b.dtype))
        return (pull_a.loss + pull_b.loss).mean() / 2


@dataclass(frozen=True)
class _Pull:
    """The loss of the anchors of one view and the factors of its gradient, each (batch,).

    Attributes:
        loss: The loss.
        positive: Minus the gradient with respect to the similarity of the positive.
        weighted: Factor of ``_Terms.weighted`` in the gradient with respect to the similarities of the negatives.
        weights: Minus the factor of ``_Terms.weights`` in it.
    """

    loss: Tensor
    positive: Tensor
    weighted: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Terms:
    """Terms of the sums over negatives (batch, batch); what is no negative is zero.

    Attributes:
        weighted: Exponentials of the similarities, times the weights.
        weights: The weights; None if all weigh alike.
    """

    weighted: Tensor
    weights: Tensor | None

    @classmethod
    def of(cls, similarities: Tensor, beta: float) -> _Terms:
        """Return the terms of ``similarities``, which are overwritten."""
        if beta == 0:
            return cls(similarities.exp_(), None)
        weights = similarities.exp_() if beta == 1 else (beta * similarities).exp_()
        return cls(weights.square() if beta == 1 else similarities.exp_().mul_(weights), weights)

    @property
    def transposed(self) -> _Terms:
        """The terms with rows and columns exchanged."""
        return _Terms(self.weighted.T, None if self.weights is None else self.weights.T)

    def only(self, kept: Tensor | None) -> _Terms:
        """Return the terms of the negatives alone, as ``only`` does."""
        return _Terms(only(self.weighted, kept), None if self.weights is None else only(self.weights, kept))

    def gradient(self, pull: _Pull, columns: _Terms, of_columns: _Pull) -> Tensor:
        """Return the gradient with respect to the similarities of anchors in the rows and anchors in the columns."""
        gradient = self.gradient_of_rows(pull)
        gradient.addcmul_(columns.weighted, of_columns.weighted)
        if columns.weights is not None:
            gradient.addcmul_(columns.weights, of_columns.weights, value=-1)
        return gradient

    def gradient_of_rows(self, pull: _Pull) -> Tensor:
        """Return the gradient with respect to the similarities of anchors in the rows."""
        gradient = self.weighted * pull.weighted[:, None]
        if self.weights is not None:
            gradient.addcmul_(self.weights, pull.weights[:, None], value=-1)
        return gradient


@dataclass(frozen=True)
class Anchors:
    """The anchors of one view, in rows.

    Attributes:
        across: Terms of the negatives of the other view.
        within: Terms of the negatives of the anchors' view; None without such negatives.
        count: Number of negatives (batch,), of one view.
        peak: What the similarities of each anchor were reduced by (batch,).
    """

    across: _Terms
    within: _Terms | None
    count: Tensor
    peak: Tensor

    @classmethod
    def sharing(cls, across: _Terms, within: Tensor | None, kept: Tensor | None, beta: float) -> Anchors:
        """Return anchors of which the other view's terms are known; the similarities within are overwritten."""
        inner = None if within is None else _Terms.of(within, beta).only(kept)
        none = across.weighted.new_zeros(len(across.weighted))
        return cls(across.only(kept), inner, _count(kept, none), none)

    @classmethod
    def shifted(cls, across: Tensor, within: Tensor | None, kept: Tensor | None, beta: float, lowest: float) -> Anchors:
        """Return anchors whose exponentials are at most one, as each is reduced by its largest similarity."""
        if kept is None:
            kept = ~torch.eye(len(across), dtype=torch.bool, device=across.device)
        blocks = [block for block in (across, within) if block is not None]
        peak = torch.stack([block.masked_fill(~kept, lowest).amax(1) for block in blocks]).amax(0)
        # Only what is not kept can lie above the peak.
        terms = [_Terms.of((block - peak[:, None]).clamp_(max=0), beta).only(kept) for block in blocks]
        return cls(terms[0], terms[1] if len(terms) == 2 else None, _count(kept, peak), peak)

    def pull(self, positive: Tensor, temperature: float, negatives: Negatives) -> _Pull:
        """Return the loss and the factors of its gradient, given the similarities of the positives (batch,)."""
        beta, prior = negatives.concentration, negatives.class_prior
        blocks = [self.across] if self.within is None else [self.across, self.within]
        count = self.count * len(blocks)
        # An anchor without negatives has sums of zero; dividing by one instead leaves its loss and gradients at zero.
        none = (count == 0).to(positive.dtype)
        total = sum((terms.weighted.sum(1) for terms in blocks), none)
        weight = sum((self.count if terms.weights is None else terms.weights.sum(1) for terms in blocks), none)
        # The weights' share of the peak cancels in R.
        hard = count.log() + self.peak + total.log() - weight.log()  # log R
        # The share of the positives' expectation in R; at 1 or above, nothing is left but the floor.
        share = torch.where(count > 0, prior * (positive - self.peak - total.log() + weight.log()).exp(), 0 * positive)
        rest = torch.where(share < 1, 1 - share, 0 * share)
        least = count.log() - 1 / temperature
        debiased = hard + rest.log() - math.log1p(-prior)
        floored = debiased < least
        negative = torch.where(floored, least, debiased)  # log G
        pushed = torch.sigmoid(negative - positive)  # gradient with respect to log G
        free = torch.where(floored | (count == 0), 0 * rest, pushed / rest.clamp(min=torch.finfo(rest.dtype).tiny))
        return _Pull(
            loss=functional.softplus(negative - positive),
            positive=pushed + free * share,
            weighted=(1 + beta) * free / total,
            weights=beta * free / weight,
        )


def _count(kept: Tensor | None, like: Tensor) -> Tensor:
    """Return the number of negatives of each anchor in one view (batch,)."""
    return torch.full_like(like, len(like) - 1) if kept is None else kept.sum(1).to(like.dtype)
