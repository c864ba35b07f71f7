"""SimCLR and, with a clustering, ClusterCLHAR."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.clustering import Clustering
from contrastive_har.learning.losses import SMALLEST_TEMPERATURE, cluster_nt_xent, nt_xent
from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult, full_precision
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.augmentations import Augmentation, View, make_view
from contrastive_har.signals.augmentations.time import Resampling
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.sensors import Layout


class TwoViewsSettings(BaseObjectiveSettings):
    """Settings shared by objectives that compare two views of a window.

    Attributes:
        views: The augmentations that make view a and view b.
        temperature: Divisor of the similarities of projections.
        projection: Widths of the layers of the projection head.
    """

    views: tuple[View, View] = ((Resampling(),), ())
    temperature: float = Field(default=0.1, ge=SMALLEST_TEMPERATURE)
    projection: tuple[int, ...] = Field(default=(96, 96, 96), min_length=1)

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """The augmentations of both views."""
        return chain.from_iterable(self.views)


class ContrastiveSettings(TwoViewsSettings):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709) and, with a clustering, ClusterCLHAR (arXiv 2203.12230).

    Attributes:
        clustering: Clustering by which negatives are chosen; null takes all other windows as negatives (NT-Xent).
    """

    name: Literal["contrastive"] = "contrastive"
    clustering: Clustering | None = None

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> Contrastive:
        """Return the objective that trains ``encoder``."""
        return Contrastive(encoder, self, layout, classes)

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why windows cannot be augmented or batches are too small to be clustered; None if neither."""
        if self.clustering is not None and not self.clustering.finds_their_number:
            clusters = self.clustering.clusters or classes
            if clusters > smallest_batch:
                return (
                    f"asks for {clusters} clusters, but the smallest batch of an epoch has {smallest_batch} windows; "
                    "lower clustering.clusters or change the batch size"
                )
        return super().problem(smallest_batch, layout, classes)


class TwoViews(Objective):
    """An encoder that is trained on projections of two views.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, temperature and projection head.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: TwoViewsSettings, layout: Layout) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = perceptron(encoder.features, settings.projection)
        self.settings = settings
        self.layout = layout

    def project_views(self, windows: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Return the L2-normalised projections (batch, features) of both views of the batch of all processes.

        Both views are encoded in one batch. Views are made and projections are returned in full precision: half
        precision would lose small movements in the views, and accuracy in the similarities.
        """
        draws = step.draws(windows)
        views = torch.cat([make_view(windows, view, draws, self.layout) for view in self.settings.views])
        with step.compute.autocast():
            projections = functional.normalize(full_precision(self.head(self.encoder(views))), dim=1)
        view_a, view_b = (step.compute.gather(view) for view in projections.chunk(2))
        return view_a, view_b


class Contrastive(TwoViews):
    """Pulls two views of a window together and pushes them from other windows, or only from other clusters.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, temperature, projection head and clustering.
        layout: Layout of a window.
        classes: Number of activities: the default number of clusters.
    """

    def __init__(self, encoder: Encoder, settings: ContrastiveSettings, layout: Layout, classes: int) -> None:
        super().__init__(encoder, settings, layout)
        self.clustering = settings.clustering
        self.clusters = (self.clustering.clusters if self.clustering else None) or classes

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return NT-Xent or Cluster-NT-Xent of ``windows`` (batch, time, channels).

        Clustering has its own generator, so that it does not change the views. Clusters and negatives come from the
        projections of all processes.
        """
        view_a, view_b = self.project_views(windows, step)
        if self.clustering is None:
            return StepResult(nt_xent(view_a, view_b, self.settings.temperature))
        generator = torch.Generator().manual_seed(derive_seed(step.seed, "clusters"))
        with torch.no_grad():
            clusters = self.clustering(torch.stack([view_a, view_b]), self.clusters, generator)
        loss = cluster_nt_xent(view_a, view_b, clusters[0], clusters[1], self.settings.temperature)
        return StepResult(loss, clusters)
