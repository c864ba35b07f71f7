"""Objectives that store projections of earlier batches: MoCo and NNCLR."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.objectives.base import Step, StepResult
from contrastive_har.learning.objectives.two_views import MomentumCopy, Queue, TwoViews, directions
from contrastive_har.learning.objectives.views import Temperature, ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.signals.sensors import Layout


class MoCoSettings(ViewsSettings):
    """Momentum contrast (He et al. 2020, arXiv 1911.05722) as MoCoHAR uses it (arXiv 2109.02054).

    View a is the query. View b is the key, encoded by a momentum copy of the encoder; earlier keys are the negatives.

    Attributes:
        temperature: Divisor of the similarities of projections.
        queue: Number of negatives.
        momentum: Share of the copy's weights that is kept at each step.
    """

    name: Literal["moco"] = "moco"
    temperature: Temperature = 0.07
    projection: tuple[int, ...] = Field(default=(256, 128), min_length=1)
    queue: int = Field(default=8192, gt=0)
    momentum: float = Field(default=0.999, ge=0, lt=1)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> MoCo:
        """Return the objective that trains ``encoder``."""
        return MoCo(encoder, self, layout)


class MoCo(TwoViews):
    """Distinguishes the other view of a window from earlier windows.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, temperature, projection head and queue.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: MoCoSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.temperature = settings.temperature
        self.momentum = settings.momentum
        self.copy = MomentumCopy(self.encoder, self.head)
        self.negatives = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return InfoNCE of ``windows`` (batch, time, channels) against the queue, and push their keys."""
        view_a, view_b = self.make_views(windows, step)
        with torch.no_grad():
            self.copy.follow((self.encoder, self.head), self.momentum)
            keys = directions(self.copy, view_b, step)
        queries = directions(self.embed_and_project, view_a, step)
        positive = (queries * keys).sum(1, keepdim=True)
        # The queue is cloned because it changes before the gradient is computed.
        logits = torch.cat([positive, queries @ self.negatives.rows.clone().T], dim=1) / self.temperature
        self.negatives.push(keys)
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
        return StepResult(loss, projections=torch.stack([queries, keys]).detach())


class NNCLRSettings(ViewsSettings):
    """Nearest-neighbour contrastive learning (Dwibedi et al. 2021, arXiv 2104.14548), without a predictor.

    Attributes:
        temperature: Divisor of the similarities of projections.
        queue: Number of earlier projections that are searched for neighbours.
    """

    name: Literal["nnclr"] = "nnclr"
    temperature: Temperature = 0.1
    queue: int = Field(default=4096, gt=0)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> NNCLR:
        """Return the objective that trains ``encoder``."""
        return NNCLR(encoder, self, layout)


class NNCLR(TwoViews):
    """Pulls a view of a window towards the nearest neighbour of its other view among earlier projections.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, temperature, projection head and queue.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: NNCLRSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.temperature = settings.temperature
        self.earlier = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the symmetric loss of ``windows`` (batch, time, channels): -log softmax of NN(a) b and of NN(b) a."""
        view_a, view_b = (directions(self.embed_and_project, view, step) for view in self.make_views(windows, step))
        loss = (self._one_way(view_a, view_b) + self._one_way(view_b, view_a)) / 2
        self.earlier.push(view_a)
        return StepResult(loss, projections=torch.stack([view_a, view_b]).detach())

    def _one_way(self, queries: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            neighbours = self.earlier.rows[(queries @ self.earlier.rows.T).argmax(1)]
        logits = neighbours @ targets.T / self.temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
