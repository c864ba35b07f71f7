"""No pre-training."""

from __future__ import annotations

from typing import Literal

from contrastive_har.learning.methods.base import Objective
from contrastive_har.models.encoder import Encoder


class Untrained(Objective):
    """The encoder stays as initialised: the basis of the random-init and supervised baselines."""

    objective: Literal["untrained"] = "untrained"

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> None:
        """Build nothing."""
