"""Methods: what an encoder is trained with before anybody shows it a label.

A method holds its trainable modules and turns a batch of windows into a loss. Everything else (device, precision,
seeds, checkpoints, progress, history) belongs to the one pre-training loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.clustering import Clustering
from contrastive_har.learning.compute import Compute
from contrastive_har.learning.objectives import SMALLEST_TEMPERATURE, cluster_nt_xent, nt_xent
from contrastive_har.models.heads import projection_head
from contrastive_har.models.tpn import TPN
from contrastive_har.signals.augmentations import Augmentation, Identity, Resampling


@dataclass(frozen=True)
class Step:
    """What a method makes of one batch.

    Attributes:
        loss: Scalar to minimise.
        clusters: Cluster of each window in each view (views, batch), where the method clusters.
    """

    loss: Tensor
    clusters: Tensor | None = None


class _MethodSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Untrained(_MethodSettings):
    """No pre-training: the encoder stays as initialised. The basis of the random-init and supervised baselines."""

    objective: Literal["untrained"] = "untrained"


class Contrastive(_MethodSettings):
    """SimCLR (Chen et al. 2020) and, with a clustering, ClusterCLHAR (arXiv 2203.12230).

    Attributes:
        views: The augmentations that make view a and view b.
        temperature: Divides the similarities of projections.
        projection: Widths of the projection head's layers.
        clustering: How negatives are chosen; null takes every other window, which is NT-Xent.
    """

    objective: Literal["contrastive"] = "contrastive"
    views: tuple[Augmentation, Augmentation] = (Resampling(), Identity())
    temperature: float = Field(default=0.1, ge=SMALLEST_TEMPERATURE)
    projection: tuple[int, ...] = Field(default=(96, 96, 96), min_length=1)
    clustering: Clustering | None = None


PretrainingMethod = Annotated[Untrained | Contrastive, Field(discriminator="objective")]
"""Any method, chosen by its ``objective`` in configuration."""


class MethodSettings(_MethodSettings):
    """One row of the result tables.

    Attributes:
        title: What readers see.
        description: A sentence that explains it to them.
        pretraining: How its encoders come about.
        evaluations: Names of the evaluations that judge them.
    """

    title: str
    description: str = ""
    pretraining: PretrainingMethod
    evaluations: tuple[str, ...] = Field(min_length=1)


class ContrastiveLearning(nn.Module):
    """Pulls two views of a window together and pushes them from other windows, or only from other clusters.

    Args:
        encoder: What is trained, along with a projection head.
        settings: The method's settings.
        classes: Number of activities: the default number of clusters.
    """

    def __init__(self, encoder: TPN, settings: Contrastive, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projection_head(encoder.features, settings.projection)
        self.settings = settings
        clustering = settings.clustering
        self.clusters = (clustering.clusters if clustering else None) or classes

    def loss(self, windows: Tensor, generator: torch.Generator, compute: Compute) -> Step:
        """Return the loss of normalised ``windows`` (batch, time, channels); both views go through in one batch.

        Whether and how a method clusters does not change which views are drawn: the clustering has a generator of its
        own, seeded by one draw. Where several processes share a batch, ``windows`` are this one's, and clusters and
        negatives come from the projections of all.
        """
        clustering_seed = int(torch.randint(2**62, (), generator=generator))
        with compute.autocast():
            views = torch.cat([augment(windows, generator) for augment in self.settings.views])
            projections = self.head(self.encoder(views))
        # Half precision must not reach the similarities: autocast ends where the objective begins.
        projections = projections.to(torch.promote_types(projections.dtype, torch.float32))
        projections = functional.normalize(projections, dim=1)
        view_a, view_b = (compute.gather(view) for view in projections.chunk(2))
        if self.settings.clustering is None:
            return Step(nt_xent(view_a, view_b, self.settings.temperature))
        with torch.no_grad():
            both = torch.stack([view_a, view_b])
            own = torch.Generator().manual_seed(clustering_seed)
            clusters = self.settings.clustering(both, min(self.clusters, len(view_a)), own)
        return Step(cluster_nt_xent(view_a, view_b, clusters[0], clusters[1], self.settings.temperature), clusters)
