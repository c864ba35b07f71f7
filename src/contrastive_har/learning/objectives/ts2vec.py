"""TS2Vec: what two overlapping pieces of a window share is contrasted sample by sample, at several scales."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult
from contrastive_har.learning.objectives.two_views import outputs
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.encoders.dilated import Dilated
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.sensors import Layout

_SHORTEST_OVERLAP = 2
"""Samples that both pieces share, at least: a single one has no other sample to be told from."""


class TS2VecSettings(BaseObjectiveSettings):
    """Hierarchical contrast (Yue et al. 2022, arXiv 2106.10466).

    Attributes:
        hidden: Share of the samples that are hidden from the encoder, in each piece others.
        instance_weight: Weight of the contrast with other windows; the rest is that with other samples.
    """

    suits: ClassVar[tuple[str, ...]] = ("dilated",)

    name: Literal["ts2vec"] = "ts2vec"
    hidden: float = Field(default=0.5, ge=0, lt=1)
    instance_weight: float = Field(default=0.5, ge=0, le=1)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> TS2Vec:
        """Return the objective that trains ``encoder``."""
        return TS2Vec(cast(Dilated, encoder), self)


class TS2Vec(Objective):
    """Contrasts the encoder's outputs themselves: there is no projection head.

    Args:
        encoder: The encoder to train.
        settings: Hidden samples and weights.
    """

    def __init__(self, encoder: Dilated, settings: TS2VecSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.sequence = encoder.sequence

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the loss of two random, overlapping pieces of ``windows`` (batch, time, channels)."""
        draws = step.draws(windows)
        first, begin, end, last = overlapping(windows.shape[1], draws, windows)
        a = self._encode(windows[:, first:end], draws, step)[:, begin - first :]
        b = self._encode(windows[:, begin:last], draws, step)[:, : end - begin]
        pooled = torch.stack([view.detach().amax(1) for view in (a, b)])
        loss = hierarchical_contrast(a, b, self.settings.instance_weight)
        return StepResult(loss, projections=functional.normalize(pooled, dim=2))

    def _encode(self, piece: Tensor, draws: Draws, step: Step) -> Tensor:
        """Return the outputs (batch, time, features) for a piece of which some samples are hidden."""
        hidden = draws.uniform(piece, piece.shape[1]) < self.settings.hidden
        return outputs(partial(self.sequence, hidden=hidden), piece, step)


def overlapping(length: int, draws: Draws, windows: Tensor) -> tuple[int, int, int, int]:
    """Return where two random pieces begin and end, the same for the whole batch: 0 <= a1 <= a2 < b1 <= b2 <= length.

    The first piece is from a1 to b1, the second from a2 to b2 (excluded), so that both have the samples a2 to b1.

    Args:
        length: Samples of a window.
        draws: Random numbers.
        windows: Windows, for their device.
    """
    drawn = draws.once(windows, 4)[0].tolist()

    def between(low: int, high: int, share: float) -> int:
        return low + int(share * (high - low + 1))

    overlap = between(_SHORTEST_OVERLAP, length, drawn[0])
    begin = between(0, length - overlap, drawn[1])
    end = begin + overlap
    return between(0, begin, drawn[2]), begin, end, between(end, length, drawn[3])


def hierarchical_contrast(view_a: Tensor, view_b: Tensor, instance_weight: float) -> Tensor:
    """Return the mean, over scales, of the contrast with other windows and with other samples.

    From one scale to the next, the maximum of two samples takes their place, until one is left, which has no other.

    Args:
        view_a: Outputs for the shared samples in one piece (batch, time, features).
        view_b: The same in the other.
        instance_weight: Weight of the contrast with other windows.
    """
    losses = []
    while True:
        scale = instance_weight * _dual(view_a.transpose(0, 1), view_b.transpose(0, 1))
        if view_a.shape[1] > 1:
            scale = scale + (1 - instance_weight) * _dual(view_a, view_b)
        losses.append(scale)
        if view_a.shape[1] == 1:
            return torch.stack(losses).mean()
        view_a, view_b = (functional.max_pool1d(view.transpose(1, 2), 2).transpose(1, 2) for view in (view_a, view_b))


def _dual(a: Tensor, b: Tensor) -> Tensor:
    """Return the contrast of the candidates in each group, averaged over groups, candidates and both views.

    Of anchor i in view a, the candidate i of view b is the positive; all others of both views are negatives::

        l_i = -log(exp(a_i b_i) / (sum over j of exp(a_i b_j) + sum over j != i of exp(a_i a_j)))

    Args:
        a: (groups, candidates, features).
        b: (groups, candidates, features).
    """
    count = a.shape[1]
    itself = torch.eye(count, dtype=torch.bool, device=a.device)
    across = a @ b.transpose(1, 2)
    losses = []
    for view, other in ((a, across), (b, across.transpose(1, 2))):
        within = (view @ view.transpose(1, 2)).masked_fill(itself, -torch.inf)
        losses.append((torch.cat([other, within], dim=2).logsumexp(2) - other.diagonal(dim1=1, dim2=2)).mean())
    return (losses[0] + losses[1]) / 2
