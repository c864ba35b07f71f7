"""No pre-training."""

from __future__ import annotations

from typing import ClassVar, Literal

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective
from contrastive_har.models.encoders import Encoder
from contrastive_har.signals.sensors import Layout


class UntrainedSettings(BaseObjectiveSettings):
    """The encoder keeps its initial weights: the basis of the random-init and supervised baselines."""

    trains: ClassVar[bool] = False

    name: Literal["untrained"] = "untrained"

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> Objective:
        """Refuse.

        Raises:
            TypeError: always; there is nothing to train.
        """
        raise TypeError("an untrained encoder has no objective")
