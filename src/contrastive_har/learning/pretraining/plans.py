"""Settings of pre-training: an objective, encoders and a budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.base import FEWEST
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.signals.normalisation import Normalisation, NormalisedBy
from contrastive_har.signals.sensors import Layout
from contrastive_har.strict import StrictModel

_PROGRESS = 1e-4  # share by which a loss is lower than the least one to count as progress


class PretrainingBudget(StrictModel):
    """How long and how an encoder is pre-trained.

    Attributes:
        epochs: Passes over the pre-training windows.
        batch_size: Windows per step.
        last_batch: Whether the last, smaller batch of an epoch is used too.
        learning_rate: Learning rate of Adam.
        patience: Epochs without a lower loss after which the learning rate is halved; null keeps it constant.
        keep: ``best_in_second_half`` keeps the epoch of least training loss among the second half, as published;
            ``last`` keeps the last.
        dropout: Whether the encoder's dropout is active; it was not in the published training.
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    last_batch: bool = True
    learning_rate: float = Field(gt=0)
    patience: int | None = Field(default=None, gt=0)
    keep: Literal["best_in_second_half", "last"] = "best_in_second_half"
    dropout: bool = False

    def problem(self, objective: ObjectiveSettings) -> str | None:
        """Return why the losses of an objective cannot be compared as this budget does, and the cure; None if they can.

        Args:
            objective: The objective to train.
        """
        if objective.loss_compares or (self.keep == "last" and self.patience is None):
            return None
        return "has losses of which the least is not the best; set its budget to keep: last and patience: null"

    def smallest_batch(self, windows: int, processes: int = 1, fewest: int = FEWEST) -> int:
        """Return the size of the smallest batch of an epoch that ``processes`` share.

        A last batch of fewer than ``fewest`` windows for all of them is left out, and so is the remainder of one that
        they cannot share evenly. Fewer windows than the batch size are always one batch.
        """
        rest = windows % self.batch_size if self.last_batch else 0
        shared = rest // processes * processes
        return min(windows, rest if shared >= fewest else self.batch_size) // processes * processes

    def uses(self, batch: int, windows: int, processes: int = 1, fewest: int = FEWEST) -> bool:
        """Return whether a batch of an epoch of ``windows`` is used."""
        if batch == self.batch_size or batch == windows:
            return batch >= max(FEWEST, processes)
        return self.last_batch and batch // processes * processes >= fewest

    def rate_after(self, losses: Sequence[float]) -> float:
        """Return the learning rate of the epoch that follows epochs with the given mean losses.

        The schedule is PyTorch's ``ReduceLROnPlateau`` with a factor of one half.
        """
        rate, least, waited = self.learning_rate, float("inf"), 0
        for loss in losses if self.patience else ():
            waited = 0 if loss < least * (1 - _PROGRESS) else waited + 1
            least = loss if waited == 0 else least
            if self.patience and waited > self.patience:
                rate, waited = rate / 2, 0
        return rate


class BackboneSettings(StrictModel):
    """The encoder of each modality.

    Attributes:
        encoder: Encoder of all modalities that are not in ``encoders``.
        encoders: Encoders of single modalities, by modality.
        modalities: The modalities that have an encoder; null takes all.
        beside: Encoders that learn nothing, such as hand features: for each modality, their features stand beside the
            embedding of its encoder.
        normalisation: ``channel`` gives each channel mean 0 and deviation 1; ``sensor`` divides the axes of a sensor by
            one deviation and keeps their geometry. Skeletons are always centred instead.
    """

    encoder: EncoderSettings = TPNSettings()
    encoders: dict[str, EncoderSettings] = Field(default_factory=dict)
    modalities: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    beside: tuple[EncoderSettings, ...] = ()
    normalisation: NormalisedBy = "channel"

    @model_validator(mode="after")
    def _learns_nothing_beside(self) -> BackboneSettings:
        if learning := [encoder.name for encoder in self.beside if encoder.depth]:
            raise ValueError(f"'{learning[0]}' learns, and beside stand encoders that do not; set it as the encoder")
        return self

    def of(self, modality: str) -> EncoderSettings:
        """Return the encoder of a modality."""
        return self.encoders.get(modality, self.encoder)

    @property
    def all(self) -> tuple[EncoderSettings, ...]:
        """All encoders that may be built."""
        return (self.encoder, *self.encoders.values())

    def shortest_window(self, modalities: Iterable[str]) -> int:
        """Return the samples a window needs for the encoders of some modalities."""
        return max(encoder.shortest_window for name in modalities for encoder in (self.of(name), *self.beside))

    def problem(self, layout: Layout) -> str | None:
        """Return why an encoder cannot embed the channels of its modality; None if all can."""
        for name in layout.modalities:
            part = layout.only([name])
            for encoder in (self.of(name), *self.beside):
                if problem := encoder.problem(part.width, tuple(part.sensors.values())):
                    return f"cannot embed modality '{name}' with the encoder '{encoder.name}', which {problem}"
        return None

    def build(self, layout: Layout) -> Backbone:
        """Return an untrained backbone, on the current device and from the current random state."""

        def built(modality: str, settings: EncoderSettings) -> Encoder:
            part = layout.only([modality])
            return settings.build(part.width, part.length, tuple(part.sensors.values()))

        encoders = {name: built(name, self.of(name)) for name in layout.modalities}
        beside = {name: [built(name, settings) for settings in self.beside] for name in layout.modalities}
        return Backbone(encoders, layout, beside)

    def normalisation_of(self, signals: NDArray[np.float32], layout: Layout) -> Normalisation:
        """Return the statistics by which windows are normalised, of raw ``signals`` (windows, time, channels)."""
        statistics = Normalisation.by(self.normalisation, signals, layout.sensors.values())
        for name, part in layout.modalities.items():
            if name in layout.skeletons:
                statistics.mean[part], statistics.deviation[part] = 0.0, 1.0
        return statistics


class PretrainingPlan(StrictModel):
    """All settings that determine the pre-training of one row of the result tables.

    Attributes:
        name: Name of the row, for messages and progress bars.
        objective: Pre-training objective.
        backbone: The encoders to train.
        budget: Pre-training budget.
        repeats: Number of repeats.
        seed: Seed of the whole run.
    """

    name: str = "pre-training"
    objective: ObjectiveSettings
    backbone: BackboneSettings = BackboneSettings()
    budget: PretrainingBudget
    repeats: int = Field(default=1, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _keeps_no_collapse(self) -> PretrainingPlan:
        if problem := self.budget.problem(self.objective):
            raise ValueError(f"method '{self.name}' {problem}")
        return self
