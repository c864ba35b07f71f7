"""Methods that remember projections of earlier batches: MoCo and NNCLR."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.methods.base import Step, draws_for, full_precision
from contrastive_har.learning.methods.contrastive import TwoViewLearner, TwoViews
from contrastive_har.learning.objectives import SMALLEST_TEMPERATURE
from contrastive_har.models.encoder import Encoder
from contrastive_har.signals.augmentations import make_view


class Queue(nn.Module):
    """The newest projections, first in, first out; random directions until there are enough.

    Args:
        size: How many.
        features: Their width.
    """

    rows: Tensor
    next: Tensor

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.register_buffer("rows", functional.normalize(torch.randn(size, features), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))  # a buffer: part of the learner's state

    def push(self, projections: Tensor) -> None:
        """Replace the oldest rows by ``projections`` (batch, features)."""
        newest = projections.detach()[-len(self.rows) :]
        places = (self.next + torch.arange(len(newest), device=newest.device)) % len(self.rows)
        self.rows.index_copy_(0, places, newest)
        self.next.copy_((self.next + len(newest)) % len(self.rows))


class MoCo(TwoViews):
    """Momentum contrast (He et al. 2020, arXiv 1911.05722) as MoCoHAR uses it (arXiv 2109.02054).

    View a is the query. View b is the key, encoded by a slowly following copy; earlier keys are the negatives.

    Attributes:
        queue: Number of negatives.
        momentum: Share of the copy that stays at each step.
    """

    objective: Literal["moco"] = "moco"
    temperature: float = Field(default=0.07, ge=SMALLEST_TEMPERATURE)
    projection: tuple[int, ...] = Field(default=(256, 128), min_length=1)
    queue: int = Field(default=8192, gt=0)
    momentum: float = Field(default=0.999, ge=0, lt=1)

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> MomentumContrast:
        """Return a learner that trains ``encoder``."""
        return MomentumContrast(encoder, self)


class MomentumContrast(TwoViewLearner):
    """Tells a window's other view from earlier windows.

    Args:
        encoder: What is trained, along with a projection head.
        settings: The method's settings.
    """

    def __init__(self, encoder: Encoder, settings: MoCo) -> None:
        super().__init__(encoder, settings)
        self.momentum = settings.momentum
        self.followers = nn.ModuleList([deepcopy(self.encoder), deepcopy(self.head)]).requires_grad_(False)
        self.negatives = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return InfoNCE of ``windows`` (batch, time, channels) against the queue, and push their keys."""
        draws = draws_for(windows, seed, compute)
        view_a, view_b = (make_view(windows, view, draws) for view in self.settings.views)
        with torch.no_grad():
            self._follow()
            with compute.autocast():
                keys = functional.normalize(full_precision(self.followers[1](self.followers[0](view_b))), dim=1)
            keys = compute.gather(keys)
        with compute.autocast():
            queries = functional.normalize(full_precision(self.head(self.encoder(view_a))), dim=1)
        queries = compute.gather(queries)
        positive = (queries * keys).sum(1, keepdim=True)
        # A copy of the queue: it changes before the gradient is taken.
        logits = torch.cat([positive, queries @ self.negatives.rows.clone().T], dim=1) / self.settings.temperature
        self.negatives.push(keys)
        return Step(functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device)))

    def _follow(self) -> None:
        leaders = [*self.encoder.parameters(), *self.head.parameters()]
        for follower, leader in zip(self.followers.parameters(), leaders, strict=True):
            follower.lerp_(leader, 1 - self.momentum)


class NNCLR(TwoViews):
    """Nearest-neighbour contrastive learning (Dwibedi et al. 2021, arXiv 2104.14548), without a predictor.

    Attributes:
        queue: Number of earlier projections among which neighbours are sought.
    """

    objective: Literal["nnclr"] = "nnclr"
    queue: int = Field(default=4096, gt=0)

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> NearestNeighbourContrast:
        """Return a learner that trains ``encoder``."""
        return NearestNeighbourContrast(encoder, self)


class NearestNeighbourContrast(TwoViewLearner):
    """Pulls a window's view towards the nearest earlier neighbour of its other view.

    Args:
        encoder: What is trained, along with a projection head.
        settings: The method's settings.
    """

    def __init__(self, encoder: Encoder, settings: NNCLR) -> None:
        super().__init__(encoder, settings)
        self.earlier = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return the symmetric loss of ``windows`` (batch, time, channels): -log softmax of NN(a) b and of NN(b) a."""
        view_a, view_b = self.project_views(windows, seed, compute)
        loss = (self._one_way(view_a, view_b) + self._one_way(view_b, view_a)) / 2
        self.earlier.push(view_a)
        return Step(loss)

    def _one_way(self, sought: Tensor, others: Tensor) -> Tensor:
        with torch.no_grad():
            neighbours = self.earlier.rows[(sought @ self.earlier.rows.T).argmax(1)]
        logits = neighbours @ others.T / self.settings.temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
