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
from contrastive_har.learning.compute import Compute
from contrastive_har.learning.methods.base import Learner, Objective, Step, draws_for, full_precision
from contrastive_har.learning.objectives import SMALLEST_TEMPERATURE, cluster_nt_xent, nt_xent
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.heads import projection_head
from contrastive_har.signals.augmentations import Augmentation, Resampling, View, make_view
from contrastive_har.signals.seeds import derive_seed


class TwoViews(Objective):
    """What methods that compare two views of a window share.

    Attributes:
        views: The augmentations that make view a and view b.
        temperature: Divides the similarities of projections.
        projection: Widths of the projection head's layers.
    """

    views: tuple[View, View] = ((Resampling(),), ())
    temperature: float = Field(default=0.1, ge=SMALLEST_TEMPERATURE)
    projection: tuple[int, ...] = Field(default=(96, 96, 96), min_length=1)

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """Those of both views."""
        return chain.from_iterable(self.views)


class Contrastive(TwoViews):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709) and, with a clustering, ClusterCLHAR (arXiv 2203.12230).

    Attributes:
        clustering: How negatives are chosen; null takes every other window, which is NT-Xent.
    """

    objective: Literal["contrastive"] = "contrastive"
    clustering: Clustering | None = None

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> ContrastiveLearning:
        """Return a learner that trains ``encoder``."""
        return ContrastiveLearning(encoder, self, classes)

    def problem(self, smallest_batch: int, shape: tuple[int, int], classes: int) -> str | None:
        """Return why the windows can't be augmented, or batches are too small to be clustered, if so."""
        if self.clustering is not None and not self.clustering.finds_their_number:
            clusters = self.clustering.clusters or classes
            if clusters > smallest_batch:
                return (
                    f"asks for {clusters} clusters, but the smallest batch of an epoch has {smallest_batch} windows; "
                    "lower clustering.clusters or change the batch size"
                )
        return super().problem(smallest_batch, shape, classes)


class TwoViewLearner(Learner):
    """An encoder that is trained by way of the projections of two views.

    Args:
        encoder: What is trained, along with a projection head.
        settings: The method's settings.
    """

    def __init__(self, encoder: Encoder, settings: TwoViews) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projection_head(encoder.features, settings.projection)
        self.settings = settings

    def project_views(self, windows: Tensor, seed: int, compute: Compute) -> tuple[Tensor, Tensor]:
        """Return the L2-normalised projections (batch, features) of both views of the batch of all processes.

        Both views go through in one batch. Half precision must reach neither the views, where it would drown small
        movements, nor the similarities: what is returned is in full.
        """
        draws = draws_for(windows, seed, compute)
        views = torch.cat([make_view(windows, view, draws) for view in self.settings.views])
        with compute.autocast():
            projections = functional.normalize(full_precision(self.head(self.encoder(views))), dim=1)
        view_a, view_b = (compute.gather(view) for view in projections.chunk(2))
        return view_a, view_b


class ContrastiveLearning(TwoViewLearner):
    """Pulls two views of a window together and pushes them from other windows, or only from other clusters.

    Args:
        encoder: What is trained, along with a projection head.
        settings: The method's settings.
        classes: Number of activities: the default number of clusters.
    """

    def __init__(self, encoder: Encoder, settings: Contrastive, classes: int) -> None:
        super().__init__(encoder, settings)
        self.clustering = settings.clustering
        self.clusters = (self.clustering.clusters if self.clustering else None) or classes

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return NT-Xent or Cluster-NT-Xent of ``windows`` (batch, time, channels).

        Whether and how a method clusters does not change which views are drawn: the clustering has a generator of its
        own. Clusters and negatives come from the projections of all processes.
        """
        view_a, view_b = self.project_views(windows, seed, compute)
        if self.clustering is None:
            return Step(nt_xent(view_a, view_b, self.settings.temperature))
        own = torch.Generator().manual_seed(derive_seed(seed, "clusters"))
        with torch.no_grad():
            clusters = self.clustering(torch.stack([view_a, view_b]), self.clusters, own)
        return Step(cluster_nt_xent(view_a, view_b, clusters[0], clusters[1], self.settings.temperature), clusters)
