"""The contrastive objective: SimCLR, ClusterCLHAR, hard negatives and, across modalities, multiview coding.

All are one loss over pairs of views. A view is a modality of a window with its augmentations; the methods differ in
which views are paired, and in which negatives count and how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from contrastive_har.learning.clustering import Clustering
from contrastive_har.learning.losses import contrast
from contrastive_har.learning.negatives import Negatives
from contrastive_har.learning.objectives.base import FEWEST, Objective, Step, StepResult
from contrastive_har.learning.objectives.projected import ProjectedModalities
from contrastive_har.learning.objectives.views import Temperature, ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.signals.augmentations import make_view
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.sensors import Layout
from contrastive_har.strict import StrictModel


class NegativesSettings(StrictModel):
    """Which other windows an anchor is pushed away from, and how strongly.

    Attributes:
        within_views: Whether the anchor's own view has negatives too, and not only the view it is compared with.
        concentration: Weights of the negatives are exp(concentration x similarity / temperature): the higher, the more
            the similar ones count (Robinson et al. 2021, arXiv 2010.04592: beta). 0 weighs all alike.
        class_prior: Probability that another window shows the anchor's activity, by which the negatives are debiased
            (Chuang et al. 2020, arXiv 2007.00224: tau plus); null takes one over the number of activities.
        annealing_steps: Number of equal steps in which the concentration falls towards zero in training; 0 keeps it.
    """

    within_views: bool = True
    concentration: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    class_prior: float | None = Field(default=0.0, ge=0, lt=1)
    annealing_steps: int = Field(default=0, ge=0)

    def at(self, progress: float, classes: int) -> Negatives:
        """Return the negatives' weights at a point of the training.

        Args:
            progress: Share of the training that is completed, from 0 to below 1.
            classes: Number of activities.
        """
        fallen = int(progress * self.annealing_steps) / self.annealing_steps if self.annealing_steps else 0.0
        prior = 1 / classes if self.class_prior is None else self.class_prior
        return Negatives(self.within_views, self.concentration * (1 - fallen), prior)


class ContrastiveSettings(ViewsSettings):
    """Views of a window are pulled together and pushed away from those of other windows.

    Two views of one modality: SimCLR (Chen et al. 2020, arXiv 2002.05709); with a clustering, ClusterCLHAR (arXiv
    2203.12230); with a concentration, hard negatives (arXiv 2010.04592). One view each of several modalities, without
    negatives within views: contrastive multiview coding (Tian et al. 2020, arXiv 1906.05849), and with a concentration
    the multimodal hard negatives of arXiv 2309.01262.

    Attributes:
        across_modalities: Whether views of different modalities are paired, too, and all encoders trained together;
            otherwise each modality is trained by itself.
        negatives: Which negatives count, and their weights.
        temperature: Divisor of the similarities of projections.
        clustering: Clustering by which negatives are chosen; null takes all other windows as negatives.
    """

    name: Literal["contrastive"] = "contrastive"
    across_modalities: bool = False
    negatives: NegativesSettings = NegativesSettings()
    temperature: Temperature = 0.1
    clustering: Clustering | None = None

    @property
    def loss_compares(self) -> bool:
        """Whether the epoch of least loss is the best: not if the concentration falls, and the loss with it."""
        return not (self.negatives.annealing_steps and self.negatives.concentration)

    @property
    def joins_modalities(self) -> bool:
        """Whether it trains the encoders of several modalities together, and not each by itself."""
        return self.across_modalities

    def fewest(self, classes: int) -> int:
        """Return the windows below which nothing can be learned from a batch: it is divided into clusters."""
        if self.clustering is None or self.clustering.finds_their_number:
            return FEWEST
        return max(FEWEST, self.clustering.clusters or classes)

    def refused_views(self, count: int) -> str | None:
        """Return why a number of views is refused; None if it is not."""
        return "a single one has no partner" if count == 1 and not self.across_modalities else None

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> Contrastive:
        """Return the objective that trains ``encoder``."""
        return Contrastive({next(iter(layout.modalities)): encoder}, self, layout, classes)

    def build_for(self, encoders: Mapping[str, Encoder], layout: Layout, classes: int) -> Objective:
        """Return the objective that trains the encoders of all modalities."""
        if self.across_modalities:
            return Contrastive(encoders, self, layout, classes)
        return super().build_for(encoders, layout, classes)

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why views cannot be made or paired, or batches are too small to be clustered; None if neither."""
        if self.across_modalities and sum(len(self.views_of(name)) for name in layout.modalities) == 1:
            return (
                "pairs the views of several modalities, but the windows have only "
                f"'{next(iter(layout.modalities))}'; declare more in the data set's description or windows.modalities"
            )
        if (clusters := self.fewest(classes)) > max(FEWEST, smallest_batch):
            return (
                f"asks for {clusters} clusters, but the smallest batch of an epoch has {smallest_batch} windows; "
                "lower clustering.clusters or raise budget.batch_size"
            )
        return super().problem(smallest_batch, layout, classes)


class Contrastive(ProjectedModalities):
    """Pulls views of a window together and pushes them from other windows, or only from other clusters.

    Args:
        encoders: The encoders to train by modality, each along with a projection head.
        settings: Views, negatives, temperature, projection heads and clustering.
        layout: Layout of a window.
        classes: Number of activities: the default number of clusters.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], settings: ContrastiveSettings, layout: Layout, classes: int
    ) -> None:
        super().__init__(encoders, settings.projection, settings.projection_batch_norm, layout)
        self.settings = settings
        self.classes = classes
        self.clustering = settings.clustering
        self.clusters = (self.clustering.clusters if self.clustering else None) or classes

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the mean loss over all pairs of views of ``windows`` (batch, time, channels).

        Clustering has its own generator, so that it does not change the views. Clusters and negatives come from the
        projections of all processes, each of which computes the part of its own anchors.
        """
        views = self._project_views(windows, step)
        clusters = self._cluster(views, step)
        negatives = self.settings.negatives.at(step.progress, self.classes)
        anchors = step.compute.anchors(len(views[0]))
        losses = []
        for a, b in combinations(range(len(views)), 2):
            of_pair = None if clusters is None else (clusters[a], clusters[b])
            losses.append(contrast(views[a], views[b], self.settings.temperature, negatives, of_pair, anchors))
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        return StepResult(step.compute.total(loss), clusters, torch.stack(views).detach())

    def _project_views(self, windows: Tensor, step: Step) -> list[Tensor]:
        """Return the L2-normalised projections (batch, features) of each view of the batch of all processes.

        The views of a modality are encoded in one batch. Views are made and projections are returned in full precision:
        half precision would lose small movements in the views, and accuracy in the similarities.
        """
        draws = step.draws(windows)
        projected: list[Tensor] = []
        firsts = self.divide(windows)
        others = firsts if step.nearby is None else self.divide(step.nearby)
        parts = zip(self.modalities, self.layouts, firsts, others, strict=True)
        for index, (modality, layout, first, other) in enumerate(parts):
            first_view, *views = self.settings.views_of(modality)
            made = [make_view(first, first_view, draws, layout)]
            augmented = torch.cat([*made, *(make_view(other, view, draws, layout) for view in views)])
            with step.compute.autocast():
                projections = self.project_one(index, augmented)
            projected += [step.compute.gather_for_anchors(view) for view in projections.chunk(1 + len(views))]
        return projected

    def _cluster(self, views: list[Tensor], step: Step) -> Tensor | None:
        """Return the cluster of each window in each view (views, batch); None without clustering."""
        if self.clustering is None:
            return None
        device = views[0].device if views[0].is_cuda else "cpu"  # MPS has no double precision
        generator = torch.Generator(device).manual_seed(derive_seed(step.seed, "clusters"))
        with torch.no_grad():
            return self.clustering(torch.stack(views), self.clusters, generator)
