"""The base class of objectives that compare two views of a window, and what several share: queues, momentum copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import Objective, Step, full_precision
from contrastive_har.learning.objectives.views import ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.augmentations import Draws, make_view
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


class MomentumCopy(nn.Module):
    """A copy of modules, applied one after the other, whose weights follow theirs and are not trained.

    Args:
        leaders: The modules to copy.
    """

    def __init__(self, *leaders: nn.Module) -> None:
        super().__init__()
        self.copies = nn.ModuleList(deepcopy(leader) for leader in leaders).requires_grad_(False)

    def follow(self, leaders: Iterable[nn.Module], momentum: float) -> None:
        """Move the weights towards those of the ``leaders``, keeping the share ``momentum`` of them."""
        weights = chain.from_iterable(leader.parameters() for leader in leaders)
        for copied, weight in zip(self.copies.parameters(), weights, strict=True):
            copied.lerp_(weight.detach(), 1 - momentum)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the output of the last module for ``windows`` (batch, time, channels)."""
        for module in self.copies:
            windows = module(windows)
        return windows


def rising(momentum: float, progress: float) -> float:
    """Return the momentum at a point of the training: it rises to 1 along a cosine (BYOL, arXiv 2006.07733, sec. 3.2).

    Args:
        momentum: Momentum at the start.
        progress: Share of the training that is completed, from 0 to below 1.
    """
    return 1 - (1 - momentum) * (math.cos(math.pi * progress) + 1) / 2


def outputs(network: Callable[[Tensor], Tensor], windows: Tensor, step: Step) -> Tensor:
    """Return what a network makes of ``windows``, in full precision and of the batch of all processes."""
    with step.compute.autocast():
        made = network(windows)
    return step.compute.gather(full_precision(made))


def directions(network: Callable[[Tensor], Tensor], windows: Tensor, step: Step) -> Tensor:
    """Return the L2-normalised :func:`outputs` of a network."""
    return functional.normalize(outputs(network, windows, step), dim=1)


class TwoViews(Objective):
    """An encoder that is trained on projections of two views.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views and projection head.
        layout: Layout of a window of one modality.
    """

    def __init__(self, encoder: Encoder, settings: ViewsSettings, layout: Layout) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = perceptron(encoder.features, settings.projection, settings.projection_batch_norm)
        self.views = settings.views_of(next(iter(layout.modalities)))
        self.layout = layout

    def make_views(self, windows: Tensor, step: Step) -> list[Tensor]:
        """Return both views of ``windows`` (batch, time, channels), in full precision."""
        return self.make_views_with(windows, step, step.draws(windows))

    def make_views_with(self, windows: Tensor, step: Step, draws: Draws) -> list[Tensor]:
        """Return both views of ``windows`` (batch, time, channels), given the random numbers of a step."""
        return [
            make_view(step.source(number, windows), view, draws, self.layout) for number, view in enumerate(self.views)
        ]

    def embed_and_project(self, view: Tensor) -> Tensor:
        """Return projections (batch, features) of a view (batch, time, channels)."""
        projections: Tensor = self.head(self.encoder(view))
        return projections
