"""Objectives that store projections of earlier batches: MoCo and NNCLR."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.losses import SMALLEST_TEMPERATURE
from contrastive_har.learning.objectives.base import Objective, Step, StepResult, full_precision
from contrastive_har.learning.objectives.views import ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.augmentations import make_view
from contrastive_har.signals.sensors import Layout


class Queue(nn.Module):
    """A first-in, first-out queue of projections, initially filled with random directions.

    Args:
        size: Number of projections.
        features: Width of a projection.
    """

    rows: Tensor
    next: Tensor

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.register_buffer("rows", functional.normalize(torch.randn(size, features), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))  # a buffer: part of the module's state

    def push(self, projections: Tensor) -> None:
        """Replace the oldest rows by ``projections`` (batch, features)."""
        newest = projections.detach()[-len(self.rows) :]
        rows = (self.next + torch.arange(len(newest), device=newest.device)) % len(self.rows)
        self.rows.index_copy_(0, rows, newest)
        self.next.copy_((self.next + len(newest)) % len(self.rows))


class TwoViews(Objective):
    """An encoder that is trained on projections of two views.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, temperature and projection head.
        layout: Layout of a window of one modality.
    """

    def __init__(self, encoder: Encoder, settings: ViewsSettings, layout: Layout) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = perceptron(encoder.features, settings.projection)
        self.settings = settings
        self.views = settings.views_of(next(iter(layout.modalities)))
        self.layout = layout

    def make_views(self, windows: Tensor, step: Step) -> list[Tensor]:
        """Return both views of ``windows`` (batch, time, channels)."""
        draws = step.draws(windows)
        return [make_view(windows, view, draws, self.layout) for view in self.views]


class MoCoSettings(ViewsSettings):
    """Momentum contrast (He et al. 2020, arXiv 1911.05722) as MoCoHAR uses it (arXiv 2109.02054).

    View a is the query. View b is the key, encoded by a momentum copy of the encoder; earlier keys are the negatives.

    Attributes:
        queue: Number of negatives.
        momentum: Share of the copy's weights that is kept at each step.
    """

    name: Literal["moco"] = "moco"
    temperature: float = Field(default=0.07, ge=SMALLEST_TEMPERATURE)
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
        self.momentum = settings.momentum
        self.followers = nn.ModuleList([deepcopy(self.encoder), deepcopy(self.head)]).requires_grad_(False)
        self.negatives = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return InfoNCE of ``windows`` (batch, time, channels) against the queue, and push their keys."""
        compute = step.compute
        view_a, view_b = self.make_views(windows, step)
        with torch.no_grad():
            self._follow()
            with compute.autocast():
                keys = functional.normalize(full_precision(self.followers[1](self.followers[0](view_b))), dim=1)
            keys = compute.gather(keys)
        with compute.autocast():
            queries = functional.normalize(full_precision(self.head(self.encoder(view_a))), dim=1)
        queries = compute.gather(queries)
        positive = (queries * keys).sum(1, keepdim=True)
        # The queue is cloned because it changes before the gradient is computed.
        logits = torch.cat([positive, queries @ self.negatives.rows.clone().T], dim=1) / self.settings.temperature
        self.negatives.push(keys)
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
        return StepResult(loss, projections=torch.stack([queries, keys]).detach())

    def _follow(self) -> None:
        leaders = [*self.encoder.parameters(), *self.head.parameters()]
        for follower, leader in zip(self.followers.parameters(), leaders, strict=True):
            follower.lerp_(leader, 1 - self.momentum)


class NNCLRSettings(ViewsSettings):
    """Nearest-neighbour contrastive learning (Dwibedi et al. 2021, arXiv 2104.14548), without a predictor.

    Attributes:
        queue: Number of earlier projections that are searched for neighbours.
    """

    name: Literal["nnclr"] = "nnclr"
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
        self.earlier = Queue(settings.queue, settings.projection[-1])

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the symmetric loss of ``windows`` (batch, time, channels): -log softmax of NN(a) b and of NN(b) a.

        Views are made in full precision: half precision would lose small movements.
        """
        views = torch.cat(self.make_views(windows, step))
        with step.compute.autocast():
            outputs = self.head(self.encoder(views))
            projections = functional.normalize(full_precision(outputs), dim=1)
        view_a, view_b = (step.compute.gather(view) for view in projections.chunk(2))
        loss = (self._one_way(view_a, view_b) + self._one_way(view_b, view_a)) / 2
        self.earlier.push(view_a)
        return StepResult(loss, projections=torch.stack([view_a, view_b]).detach())

    def _one_way(self, queries: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            neighbours = self.earlier.rows[(queries @ self.earlier.rows.T).argmax(1)]
        logits = neighbours @ targets.T / self.settings.temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
