"""No pre-training."""

from __future__ import annotations

from typing import ClassVar, Literal

from contrastive_har.learning.methods.base import Learner, Objective
from contrastive_har.models.encoder import Encoder


class Untrained(Objective):
    """The encoder stays as initialised: the basis of the random-init and supervised baselines."""

    trains: ClassVar[bool] = False

    objective: Literal["untrained"] = "untrained"

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> Learner:
        """Refuse.

        Raises:
            TypeError: always; there is nothing to learn.
        """
        raise TypeError("an untrained encoder has no learner")
