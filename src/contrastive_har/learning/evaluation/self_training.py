"""Self-training: a head is trained again with windows that it labelled itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from contrastive_har.strict import StrictModel


class SelfTraining(StrictModel):
    """How a head that is trained on labelled windows is trained on unlabelled ones, too (Scudder 1965, Yarowsky 1995).

    The unlabelled windows are those of pre-training, less the labelled ones and those of validation: where the split is
    leak-free, no test window is among them. In each round the head recognises them, the surest of each class are given
    its label, and a new head is trained on them and the labelled windows, with the pre-trained encoder's stages that
    are trained with it. Of all rounds, the first with the best macro-F1 on validation windows is kept; the last, where
    there are none.

    Attributes:
        rounds: Number of rounds.
        first_share: Share of the unlabelled windows that are given labels in the first round.
        last_share: Share of them in the last round; it grows evenly.
        balance: ``labelled`` gives each class its share of the labelled windows at most, which fits label budgets that
            are shares of the windows; ``recognised`` gives it its share of the recognised ones.
        averaged: Whether windows are recognised by probabilities that are averaged over neighbouring windows: the head
            then learns what it could not tell from a window alone.
        labelled_weight: Total weight of the labelled windows, as a share of that of the windows labelled by the head;
            each of them weighs at least as much as one of those. Heads trained by gradient draw windows with these
            weights, as many in an epoch as there are.
    """

    rounds: int = Field(default=6, gt=0)
    first_share: float = Field(default=0.13, gt=0, le=1)
    last_share: float = Field(default=0.9, gt=0, le=1)
    balance: Literal["labelled", "recognised"] = "labelled"
    averaged: bool = True
    labelled_weight: float = Field(default=0.5, ge=0)

    @model_validator(mode="after")
    def _grows(self) -> SelfTraining:
        if self.last_share < self.first_share:
            raise ValueError(
                f"last_share {self.last_share:g} is below first_share {self.first_share:g}; the share grows"
            )
        return self

    @property
    def shares(self) -> Iterator[float]:
        """The share of the unlabelled windows that are given labels, round by round."""
        return iter(np.linspace(self.first_share, self.last_share, self.rounds).tolist())

    def choose(
        self, probabilities: NDArray[np.floating], labelled: NDArray[np.int64], share: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the unlabelled windows to learn from, and their classes.

        Args:
            probabilities: Class probabilities of the unlabelled windows (windows, classes).
            labelled: Classes of the labelled windows.
            share: Share of the unlabelled windows that are given labels.
        """
        recognised, sureness = probabilities.argmax(1), probabilities.max(1)
        counts = np.bincount(labelled if self.balance == "labelled" else recognised, minlength=probabilities.shape[1])
        wanted = np.ceil(share * len(recognised) * counts / max(1, counts.sum())).astype(int)
        surest = np.argsort(-sureness, kind="stable")
        chosen = [surest[recognised[surest] == index][:most] for index, most in enumerate(wanted)]
        members = np.sort(np.concatenate(chosen))
        return members, recognised[members]

    def weights(self, labelled: int, chosen: int) -> NDArray[np.float64]:
        """Return the weights of the labelled windows, followed by those of the ``chosen`` ones, which are 1."""
        of_labelled = max(1.0, self.labelled_weight * chosen / labelled)
        return np.concatenate([np.full(labelled, of_labelled), np.ones(chosen)])
