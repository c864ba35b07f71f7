"""Base classes of pre-training objectives.

Settings build an objective around untrained encoders; the objective computes the loss of a batch. Everything else
(device, precision, seeds, checkpoints, progress, history) belongs to the training loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from contrastive_har.learning.compute import Compute
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.signals.augmentations import Augmentation, Draws, View, first_problem
from contrastive_har.signals.sensors import Layout
from contrastive_har.strict import StrictModel

FEWEST = 2
"""Windows in a batch: a single one has no negatives."""


@dataclass(frozen=True)
class Step:
    """One step of training.

    Attributes:
        seed: Seed of the step's random numbers; the same in every process.
        compute: Gathers a batch from all processes, and chooses the precision of encoders and heads.
        progress: Share of the training that is completed, from 0 to below 1.
        nearby: Windows that the views after the first are made of; None for the same as the first.
    """

    seed: int
    compute: Compute
    progress: float = 0.0
    nearby: Tensor | None = None

    def source(self, view: int, windows: Tensor) -> Tensor:
        """Return the windows that a view (0, 1, ...) of ``windows`` is made of."""
        return windows if view == 0 or self.nearby is None else self.nearby

    def of_channels(self, channels: slice) -> Step:
        """Return this step for some channels of the windows."""
        return self if self.nearby is None else replace(self, nearby=self.nearby[..., channels].contiguous())

    def draws(self, windows: Tensor) -> Draws:
        """Return random numbers on the device of ``windows``."""
        generator = torch.Generator(windows.device).manual_seed(self.seed)
        return Draws(generator, self.compute.processes, self.compute.rank)


@dataclass(frozen=True)
class StepResult:
    """The result of an objective for one batch.

    Attributes:
        loss: Scalar to minimise.
        clusters: Cluster of each window in each view (views, batch), if the objective clusters.
        projections: L2-normalised projections of each view (views, batch, features), if the objective compares views.
    """

    loss: Tensor
    clusters: Tensor | None = None
    projections: Tensor | None = None


class Objective(nn.Module, ABC):
    """Encoders, other modules trained with them, and their loss.

    If several processes share a batch, each has its share; ``step.compute.gather`` returns the outputs of all.

    Attributes:
        encoder: The encoder, for objectives that train a single one.
        fewest: Windows below which the last batch of an epoch is left out.
        neighbours: Strides within which the windows of views after the first are drawn.
    """

    encoder: Encoder
    fewest: int = FEWEST
    neighbours: int = 0

    @property
    def encoders(self) -> list[Encoder]:
        """The trained encoders, one per modality."""
        return [self.encoder]

    @abstractmethod
    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the loss of normalised ``windows`` (batch, time, channels), on this module's device."""

    def embed(self, windows: Tensor) -> list[Tensor]:
        """Return embeddings (batch, features) of each modality of ``windows`` (batch, time, channels)."""
        return [self.encoder(windows)]

    def project(self, windows: Tensor) -> list[Tensor]:
        """Return L2-normalised projections (batch, features) of each modality of ``windows``, without augmentation.

        An objective that has no projection heads returns none.
        """
        return []


class EachModality(Objective):
    """One objective per modality, trained side by side; the loss is their sum.

    Args:
        objectives: Objectives by modality.
        layout: Layout of a window.
    """

    def __init__(self, objectives: Mapping[str, Objective], layout: Layout) -> None:
        super().__init__()
        self.objectives = nn.ModuleList(objectives.values())
        self.channels = [layout.modalities[name] for name in objectives]

    @property
    def encoders(self) -> list[Encoder]:
        """The encoders of all modalities."""
        return [encoder for objective in self._all() for encoder in objective.encoders]

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the summed loss of ``windows`` (batch, time, channels), with the first modality's projections."""
        parts = zip(self._divide(windows), self.channels, strict=True)
        results = [objective.loss(part, step.of_channels(channels)) for (objective, part), channels in parts]
        loss = torch.stack([result.loss for result in results]).sum()
        return StepResult(loss, results[0].clusters, results[0].projections)

    def embed(self, windows: Tensor) -> list[Tensor]:
        """Return the embeddings of all modalities of ``windows`` (batch, time, channels)."""
        return [one for objective, part in self._divide(windows) for one in objective.embed(part)]

    def project(self, windows: Tensor) -> list[Tensor]:
        """Return the projections of all modalities of ``windows`` (batch, time, channels)."""
        return [one for objective, part in self._divide(windows) for one in objective.project(part)]

    def _divide(self, windows: Tensor) -> list[tuple[Objective, Tensor]]:
        """Return each objective with the channels of its modality."""
        parts = zip(self._all(), self.channels, strict=True)
        return [(objective, windows[..., channels].contiguous()) for objective, channels in parts]

    def _all(self) -> list[Objective]:
        return [cast(Objective, objective) for objective in self.objectives]


class BaseObjectiveSettings(StrictModel, ABC):
    """Settings of an objective.

    Attributes:
        suits: Names of the encoders that the objective can train; empty for all.
        trains: Whether there is anything to train.
    """

    suits: ClassVar[tuple[str, ...]] = ()
    trains: ClassVar[bool] = True

    name: str

    @abstractmethod
    def build(self, encoder: Encoder, layout: Layout, classes: int) -> Objective:
        """Return the objective that trains the encoder of one modality.

        Args:
            encoder: The untrained encoder.
            layout: Layout of a window of this modality.
            classes: Number of activities, as described and not as found in labels.
        """

    def build_for(self, encoders: Mapping[str, Encoder], layout: Layout, classes: int) -> Objective:
        """Return the objective that trains the encoders of all modalities; by default each separately.

        Args:
            encoders: Untrained encoders by modality.
            layout: Layout of a window.
            classes: Number of activities.
        """
        objectives = {name: self.build(encoder, layout.only([name]), classes) for name, encoder in encoders.items()}
        return next(iter(objectives.values())) if len(objectives) == 1 else EachModality(objectives, layout)

    def refusal(self, encoder: EncoderSettings) -> str | None:
        """Return why this objective cannot train the encoder, and the cure; None if it can."""
        if self.suits and encoder.name not in self.suits:
            return f"cannot train the encoder '{encoder.name}'; set its encoder to {' or '.join(self.suits)}"
        if self.trains and encoder.depth == 0:
            return f"cannot train the encoder '{encoder.name}', which learns nothing; set its objective to untrained"
        return None

    def fewest(self, classes: int) -> int:
        """Return the windows below which nothing can be learned from a batch.

        Args:
            classes: Number of activities.
        """
        return FEWEST

    @property
    def strides_between_views(self) -> int:
        """Strides within which the windows of views after the first are drawn; 0 takes the same window."""
        return 0

    @property
    def loss_compares(self) -> bool:
        """Whether the epoch of least loss is the best: not if the loss changes in training, or is least by collapse."""
        return True

    def shortest_view(self, length: int) -> int:
        """Return the samples of the shortest view of windows of ``length`` samples."""
        return length

    @property
    def joins_modalities(self) -> bool:
        """Whether it trains the encoders of several modalities together, and not each by itself."""
        return False

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that it has settings for."""
        return ()

    def views_of(self, modality: str) -> tuple[View, ...]:
        """Return the views of windows of a modality; none, if the objective uses windows as recorded."""
        return ()

    def augmentations_of(self, modality: str) -> Iterable[Augmentation]:
        """Return all augmentations applied to windows of a modality."""
        return chain.from_iterable(self.views_of(modality))

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why this objective cannot learn from the windows, and the cure; None if it can.

        Args:
            smallest_batch: Windows in the smallest batch of an epoch.
            layout: Layout of a window.
            classes: Number of activities.
        """
        problems = (first_problem(self.augmentations_of(name), layout.only([name])) for name in layout.modalities)
        return next(filter(None, problems), None)


def full_precision(outputs: Tensor) -> Tensor:
    """Return outputs of an encoder or head in float32 or better: losses are not computed in half precision."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
