"""Heads that are fitted to frozen features, in closed form or by a library."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.evaluation.rounds import train_in_rounds
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.models.heads import Head
from contrastive_har.signals.seeds import seeded


def fit_head(features: Tensor, widths: Sequence[int], task: Task) -> Outcome:
    """Fit a head to the labelled windows' frozen ``features`` (windows, features), and self-train it if asked to.

    Args:
        features: Embeddings of all windows.
        widths: Width of the embeddings of each modality.
        task: The head to fit.
    """

    def fit(of_round: Task, last: _FittedHead | None) -> _FittedHead:
        head = deepcopy(last.head) if last else of_round.build_head(widths)
        return _FittedHead(features, of_round, head)

    with seeded(task.seed):
        return train_in_rounds(task, fit)


class _FittedHead:
    """A head that is fitted to windows of a task, from its present state."""

    def __init__(self, features: Tensor, task: Task, head: Head) -> None:
        self.features = features
        targets = torch.from_numpy(task.labels)
        weights = None if task.weights is None else torch.from_numpy(task.weights)
        # Libraries fit on the CPU, and in double precision, which MPS does not have.
        chosen = self._choose(task.train)
        head.cpu().fit(chosen.cpu(), targets, weights)
        self.head = head.to(features.device)
        with torch.no_grad():
            loss = functional.cross_entropy(self.head(chosen), targets.to(features.device))
        self.outcome = Outcome(task, float("nan"))
        self.outcome.score(1, loss, self.probabilities)
        self.outcome.keep(self.head.state_dict())

    def probabilities(self, members: NDArray[np.int64]) -> Tensor:
        """Return class probabilities (members, classes) of windows."""
        with torch.no_grad():
            scores: Tensor = self.head(self._choose(members))
            return scores.softmax(1).cpu()

    def _choose(self, members: NDArray[np.int64]) -> Tensor:
        return self.features.index_select(0, torch.from_numpy(members).to(self.features.device))
