"""Settings of pre-training: an objective, encoders and a budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.signals.sensors import Layout

FEWEST = 2  # windows in a batch: a single one has no negatives


class PretrainingBudget(BaseModel):
    """How long and how an encoder is pre-trained.

    Attributes:
        epochs: Passes over the pre-training windows.
        batch_size: Windows per step; the last, smaller batch of an epoch is used too.
        learning_rate: Constant learning rate of Adam.
        keep: ``best_in_second_half`` keeps the epoch of least training loss among the second half, as published;
            ``last`` keeps the last.
        dropout: Whether the encoder's dropout is active; it was not in the published training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    learning_rate: float = Field(gt=0)
    keep: Literal["best_in_second_half", "last"] = "best_in_second_half"
    dropout: bool = False

    def smallest_batch(self, windows: int, processes: int = 1) -> int:
        """Return the size of the smallest batch of an epoch that ``processes`` share.

        A last batch of too few windows is left out, and so is the remainder of one that they cannot share evenly.
        """
        rest = windows % self.batch_size
        smallest = min(windows, rest if rest >= max(FEWEST, processes) else self.batch_size)
        return smallest // processes * processes


class BackboneSettings(BaseModel):
    """The encoder of each modality.

    Attributes:
        encoder: Encoder of all modalities that are not in ``encoders``.
        encoders: Encoders of single modalities, by modality.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderSettings = TPNSettings()
    encoders: dict[str, EncoderSettings] = {}

    def of(self, modality: str) -> EncoderSettings:
        """Return the encoder of a modality."""
        return self.encoders.get(modality, self.encoder)

    @property
    def all(self) -> tuple[EncoderSettings, ...]:
        """All encoders that may be built."""
        return (self.encoder, *self.encoders.values())

    def shortest_window(self, modalities: Iterable[str]) -> int:
        """Return the samples a window needs for the encoders of some modalities."""
        return max(self.of(modality).shortest_window for modality in modalities)

    def problem(self, layout: Layout) -> str | None:
        """Return why an encoder cannot embed the channels of its modality; None if all can."""
        for name in layout.modalities:
            part, encoder = layout.only([name]), self.of(name)
            if problem := encoder.problem(part.width, tuple(part.sensors.values())):
                return f"cannot embed modality '{name}' with the encoder '{encoder.name}', which {problem}"
        return None

    def build(self, layout: Layout) -> Backbone:
        """Return an untrained backbone, on the current device and from the current random state."""
        encoders = {}
        for name in layout.modalities:
            part = layout.only([name])
            encoders[name] = self.of(name).build(part.width, part.length, tuple(part.sensors.values()))
        return Backbone(encoders, layout.modalities)


class PretrainingPlan(BaseModel):
    """All settings that determine the pre-training of one row of the result tables.

    Attributes:
        name: Name of the row, for messages and progress bars.
        objective: Pre-training objective.
        backbone: The encoders to train.
        budget: Pre-training budget.
        repeats: Number of repeats.
        seed: Seed of the whole run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "pre-training"
    objective: ObjectiveSettings
    backbone: BackboneSettings = BackboneSettings()
    budget: PretrainingBudget
    repeats: int = Field(default=1, gt=0)
    seed: int = 0
