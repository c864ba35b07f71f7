"""Cross-modal knowledge mining: positives found by encoders that each modality has trained alone."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import permutations
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import Objective, Step, StepResult, full_precision
from contrastive_har.learning.objectives.contrastive import Contrastive, ContrastiveSettings
from contrastive_har.learning.objectives.projected import ProjectedModalities
from contrastive_har.learning.objectives.views import Temperature, ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.signals.augmentations import View, make_view
from contrastive_har.signals.sensors import Layout


class KnowledgeMiningSettings(ViewsSettings):
    """CMC-CMKM (Brinzea et al. 2022, arXiv 2205.10071): contrastive multiview coding with mined positives.

    In the first part of the training, each modality trains an encoder of its own by SimCLR. These guides are then
    frozen: windows that they find similar count as positives when the encoders are trained across modalities.

    Attributes:
        views: One view per modality, for the training across modalities.
        guides: The training of the guides: two views of each modality, temperature and projection heads.
        warm_up: Share of the training that is the guides'.
        temperature: Divisor of similarities across modalities.
        within_temperature: Divisor of similarities inside a modality; the released code has none, which is 1.
    """

    name: Literal["knowledge_mining"] = "knowledge_mining"
    guides: ContrastiveSettings = ContrastiveSettings()
    warm_up: float = Field(default=0.5, gt=0, lt=1)
    temperature: Temperature = 0.1
    within_temperature: Temperature = 1.0

    @model_validator(mode="after")
    def _has_guides_of_single_modalities(self) -> KnowledgeMiningSettings:
        if self.guides.across_modalities:
            raise ValueError("guides: each is trained by its modality alone; set its across_modalities to false")
        if self.guides.neighbours:
            raise ValueError("guides: both views are of the same window; set its neighbours to 0")
        return self

    @property
    def loss_compares(self) -> bool:
        """Whether the least loss is the best: it is not, as the loss of the second part is another."""
        return False

    @property
    def joins_modalities(self) -> bool:
        """Whether it trains the encoders of several modalities together, and not each by itself."""
        return True

    def refused_views(self, count: int) -> str | None:
        """Return why a number of views is refused; None if it is not."""
        return None if count == 1 else "one of each modality is compared"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities whose views are listed."""
        return (*super().modalities, *self.guides.modalities)

    def views_of(self, modality: str) -> tuple[View, ...]:
        """Return the view of a modality, and those of its guide."""
        return (*super().views_of(modality), *self.guides.views_of(modality))

    def view_of(self, modality: str) -> View:
        """Return the view of a modality for the training across modalities."""
        return super().views_of(modality)[0]

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> KnowledgeMining:
        """Refuse.

        Raises:
            TypeError: always; a single modality has no partner.
        """
        raise TypeError("knowledge mining needs several modalities")

    def build_for(self, encoders: Mapping[str, Encoder], layout: Layout, classes: int) -> Objective:
        """Return the objective that trains the encoders of all modalities."""
        return KnowledgeMining(encoders, self, layout, classes)

    def fewest(self, classes: int) -> int:
        """Return the windows below which nothing can be learned from a batch: those that its guides need."""
        return self.guides.fewest(classes)

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why there is nothing to pair or to mine, or views cannot be made; None if there is."""
        if len(layout.modalities) == 1:
            return (
                f"needs several modalities, but the windows have only '{next(iter(layout.modalities))}'; declare more "
                "in the data set's description or windows.modalities"
            )
        of_guides = (self.guides.problem(smallest_batch, layout.only([name]), classes) for name in layout.modalities)
        reason = next(filter(None, of_guides), None)
        return f"has guides and {reason}" if reason else super().problem(smallest_batch, layout, classes)


class KnowledgeMining(ProjectedModalities):
    """Pulls modalities of a window together, and windows that its guides find most similar.

    Args:
        encoders: The encoders to train by modality, each along with a projection head and a guide.
        settings: Views, temperatures and projection heads.
        layout: Layout of a window.
        classes: Number of activities.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], settings: KnowledgeMiningSettings, layout: Layout, classes: int
    ) -> None:
        super().__init__(encoders, settings.projection, settings.projection_batch_norm, layout)
        self.settings = settings
        self.guides = nn.ModuleList(
            settings.guides.build(deepcopy(encoder), part, classes)
            for encoder, part in zip(encoders.values(), self.layouts, strict=True)
        )

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the guides' loss of ``windows`` (batch, time, channels) at first, then that across modalities."""
        parts = self.divide(windows)
        guides = [cast(Contrastive, guide) for guide in self.guides]
        if step.progress < self.settings.warm_up:
            of_warm_up = replace(step, progress=step.progress / self.settings.warm_up)
            results = [guide.loss(part, of_warm_up) for guide, part in zip(guides, parts, strict=True)]
            return StepResult(torch.stack([result.loss for result in results]).sum(), None, results[0].projections)
        draws = step.draws(windows)
        views = [
            make_view(part, self.settings.view_of(name), draws, layout)
            for part, name, layout in zip(parts, self.modalities, self.layouts, strict=True)
        ]
        projections, mined = [], []
        for index, (view, guide) in enumerate(zip(views, guides, strict=True)):
            with step.compute.autocast():
                projection = self.project_one(index, view)
                with torch.no_grad():
                    guided = full_precision(guide.eval().encoders[0](view))
            projections.append(step.compute.gather(projection))
            mined.append(_most_similar(functional.normalize(step.compute.gather(guided), dim=1)))
        losses = [
            mining_loss(projections[a], projections[b], (mined[a], mined[b]), self._temperatures)
            for a, b in permutations(range(len(parts)), 2)
        ]
        return StepResult(torch.stack(losses).mean(), projections=torch.stack(projections).detach())

    @property
    def _temperatures(self) -> tuple[float, float]:
        return self.settings.temperature, self.settings.within_temperature


def mining_loss(
    anchors: Tensor, others: Tensor, mined: tuple[Tensor, Tensor], temperatures: tuple[float, float]
) -> Tensor:
    """Return the loss of one modality's anchors, averaged over windows.

    With s = p q' / temperature across modalities, c = p p' / within_temperature, and the windows m and n that the
    guides of the anchors' and of the other modality find most similar to window i::

        L_i = -log((exp(s_ii) + exp(s_in) + exp(c_im)) / (sum over j of exp(s_ij) + sum over j != i of exp(c_ij)))

    Args:
        anchors: L2-normalised projections (batch, features) of the anchors' modality.
        others: L2-normalised projections of the other modality.
        mined: Most similar window of each (batch,) to the guide of the anchors' and of the other modality.
        temperatures: ``temperature`` and ``within_temperature``.
    """
    across = anchors @ others.T / temperatures[0]
    within = anchors @ anchors.T / temperatures[1]
    same, other = (index[:, None] for index in mined)
    positives = torch.cat([across.diagonal()[:, None], across.gather(1, other), within.gather(1, same)], dim=1)
    itself = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    everything = torch.cat([across, within.masked_fill(itself, -torch.inf)], dim=1)
    return (everything.logsumexp(1) - positives.logsumexp(1)).mean()


def _most_similar(features: Tensor) -> Tensor:
    """Return the index (batch,) of the other window most similar to each of L2-normalised (batch, features)."""
    similarities = (features @ features.T).fill_diagonal_(-torch.inf)
    return similarities.argmax(1)
