"""Objectives that predict what a slower or still copy makes of the other view: BYOL, SimSiam, MSF and TTL.

Only the triplets of TTL push windows apart. The others rely on a predictor and on targets without a gradient; that all
projections are equal would be their least loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import Step, StepResult
from contrastive_har.learning.objectives.two_views import MomentumCopy, Queue, TwoViews, directions, outputs, rising
from contrastive_har.learning.objectives.views import ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.sensors import Layout


class PredictionSettings(ViewsSettings):
    """Settings shared by objectives with a predictor.

    Attributes:
        prediction: Widths of the hidden layers of the predictor, whose outputs are as wide as a projection. They are
            normalised over the batch if those of the projection head are.
    """

    projection: tuple[int, ...] = Field(default=(256, 128), min_length=1)
    projection_batch_norm: bool = True
    prediction: tuple[int, ...] = (256,)


class Prediction(TwoViews, ABC):
    """Predicts the target of one view from the projection of the other.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head and predictor.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: PredictionSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        width = settings.projection[-1]
        self.predictor = perceptron(width, (*settings.prediction, width), settings.projection_batch_norm)

    def predict(self, view: Tensor) -> Tensor:
        """Return predictions (batch, features) of a view (batch, time, channels)."""
        predictions: Tensor = self.predictor(self.embed_and_project(view))
        return predictions


class WithMomentumCopy(Prediction):
    """Predicts what a momentum copy of encoder and projection head makes of the other view.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head and predictor.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: PredictionSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.copy = MomentumCopy(self.encoder, self.head)

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the loss of ``windows`` (batch, time, channels): that of view a and that of view b, added."""
        views = self.make_views(windows, step)
        with torch.no_grad():
            self.copy.follow((self.encoder, self.head), self.momentum(step))
            targets = [directions(self.copy, view, step) for view in views]
        predictions = [directions(self.predict, view, step) for view in views]
        loss = self.compare(predictions[0], targets[1]) + self.compare(predictions[1], targets[0])
        return StepResult(loss, projections=torch.stack(targets))

    @abstractmethod
    def momentum(self, step: Step) -> float:
        """Return the share of the copy's weights that is kept at a step."""

    @abstractmethod
    def compare(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of L2-normalised ``predictions`` and ``targets`` of the other view (batch, features)."""


class BYOLSettings(PredictionSettings):
    """Bootstrap your own latent (Grill et al. 2020, arXiv 2006.07733).

    Attributes:
        momentum: Share of the copy's weights that is kept at the first step; it rises to 1 along a cosine.
    """

    name: Literal["byol"] = "byol"
    momentum: float = Field(default=0.996, ge=0, lt=1)

    @property
    def loss_compares(self) -> bool:
        """Whether the least loss is the best: it is collapse."""
        return False

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> BYOL:
        """Return the objective that trains ``encoder``."""
        return BYOL(encoder, self, layout)


class BYOL(WithMomentumCopy):
    """Squared distances of predictions and targets.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head, predictor and momentum.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: BYOLSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.start = settings.momentum

    def momentum(self, step: Step) -> float:
        """Return the share of the copy's weights that is kept at a step."""
        return rising(self.start, step.progress)

    def compare(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of ``|q - z|^2 = 2 - 2 q z`` over windows (eq. 2)."""
        return 2 - 2 * (predictions * targets).sum(1).mean()


class SimSiamSettings(PredictionSettings):
    """Simple siamese representations (Chen and He 2020, arXiv 2011.10566).

    The last layer of the projection head is normalised over the batch, too; the predictor is a bottleneck, a quarter as
    wide as a projection.
    """

    name: Literal["simsiam"] = "simsiam"
    projection: tuple[int, ...] = Field(default=(256, 256, 256), min_length=1)
    prediction: tuple[int, ...] = (64,)

    @property
    def loss_compares(self) -> bool:
        """Whether the least loss is the best: it is collapse."""
        return False

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> SimSiam:
        """Return the objective that trains ``encoder``."""
        return SimSiam(encoder, self, layout)


class SimSiam(Prediction):
    """Negative cosines of predictions and the projections of the other view, through which no gradient flows.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head and predictor.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: SimSiamSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        if settings.projection_batch_norm:
            self.head.append(nn.BatchNorm1d(settings.projection[-1], affine=False))

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return ``-(p_a z_b + p_b z_a) / 2`` of ``windows`` (batch, time, channels), averaged (eq. 4)."""
        projections = [outputs(self.embed_and_project, view, step) for view in self.make_views(windows, step)]
        targets = [functional.normalize(projection.detach(), dim=1) for projection in projections]
        predictions = [functional.normalize(self.predictor(projection), dim=1) for projection in projections]
        loss = -((predictions[0] * targets[1]).sum(1) + (predictions[1] * targets[0]).sum(1)).mean() / 2
        return StepResult(loss, projections=torch.stack(targets))


class MSFSettings(PredictionSettings):
    """Mean shift (Koohpayegani et al. 2021, arXiv 2105.07269).

    Attributes:
        momentum: Share of the copy's weights that is kept at each step.
        queue: Number of earlier targets that are searched for neighbours; the targets of the batch are among them.
        nearest: How many of them, the nearest to a target, the prediction is pulled towards; the target is the first.
    """

    name: Literal["msf"] = "msf"
    momentum: float = Field(default=0.99, ge=0, lt=1)
    queue: int = Field(default=4096, gt=0)
    nearest: int = Field(default=5, gt=0)

    @property
    def loss_compares(self) -> bool:
        """Whether the least loss is the best: it is collapse."""
        return False

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why there are too few targets, or views cannot be made; None if neither."""
        if self.nearest > self.queue:
            return f"looks for the {self.nearest} nearest in a queue of {self.queue}; lengthen its queue"
        return super().problem(smallest_batch, layout, classes)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> MSF:
        """Return the objective that trains ``encoder``."""
        return MSF(encoder, self, layout)


class MSF(WithMomentumCopy):
    """Squared distances of predictions and the nearest neighbours of their targets.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head, predictor, momentum and queue.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: MSFSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.kept = settings.momentum
        self.nearest = settings.nearest
        self.earlier = Queue(settings.queue, settings.projection[-1])

    def momentum(self, step: Step) -> float:
        """Return the share of the copy's weights that is kept at a step."""
        return self.kept

    def compare(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of ``2 - 2 q z`` over windows and the nearest targets ``z``, after pushing ``targets``."""
        self.earlier.push(targets)
        nearest = (targets @ self.earlier.rows.T).topk(self.nearest, dim=1).indices
        # Indexing copies the rows, which the next push changes before the gradient is computed.
        return 2 - 2 * (predictions[:, None] * self.earlier.rows[nearest]).sum(2).mean()


class TTLSettings(PredictionSettings):
    """Truncated triplets (Wang et al. 2021, "Solving inefficiency of self-supervised learning", arXiv 2104.08760).

    Defaults are those of the released code.

    Attributes:
        momentum: Share of the copy's weights that is kept at the first step; it rises to 1 along a cosine.
        pull: Factor of the distance to the other view.
        margin: How much farther the negatives should be; distances, of -2 cosines, lie between -2 and 2.
        left_out: Nearest other windows that are no negatives, as they probably show the same activity.
        negatives: Next nearest windows, whose mean distance is that of the negative.
    """

    name: Literal["ttl"] = "ttl"
    momentum: float = Field(default=0.99, ge=0, lt=1)
    pull: float = Field(default=2.0, gt=0)
    margin: float = Field(default=100.0, gt=0)
    left_out: int = Field(default=1, ge=0)
    negatives: int = Field(default=9, gt=0)

    def fewest(self, classes: int) -> int:
        """Return the windows below which nothing can be learned from a batch: the others must be enough negatives."""
        return self.left_out + self.negatives + 1

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why batches have too few negatives, or views cannot be made; None if neither."""
        if smallest_batch < self.fewest(classes):
            return (
                f"needs {self.left_out + self.negatives} other windows in a batch, but the smallest has "
                f"{smallest_batch - 1}; lower its negatives or left_out, or raise budget.batch_size"
            )
        return super().problem(smallest_batch, layout, classes)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> TTL:
        """Return the objective that trains ``encoder``."""
        return TTL(encoder, self, layout)


class TTL(WithMomentumCopy):
    """Triplets of a prediction, its target, and the targets of some of the nearest other windows.

    Args:
        encoder: The encoder to train, along with a projection head and a predictor.
        settings: Views, projection head, predictor, momentum and triplets.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: TTLSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.triplets = settings

    def momentum(self, step: Step) -> float:
        """Return the share of the copy's weights that is kept at a step."""
        return rising(self.triplets.momentum, step.progress)

    def compare(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of ``max(0, margin + pull d_ii - mean of d_ik)`` with ``d = -2 q z`` and negatives k."""
        settings = self.triplets
        distances = -2 * predictions @ targets.T
        others = distances.masked_fill(torch.eye(len(distances), dtype=torch.bool, device=distances.device), torch.inf)
        nearest = others.topk(settings.left_out + settings.negatives, dim=1, largest=False).values
        negative = nearest[:, settings.left_out :].mean(1)
        return functional.relu(settings.margin + settings.pull * distances.diagonal() - negative).mean()
