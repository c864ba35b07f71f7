"""Heads that are fitted to frozen features, in closed form or by a library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.signals.seeds import seeded


def fit_head(features: Tensor, widths: Sequence[int], task: Task) -> Outcome:
    """Fit a head to the labelled windows' frozen ``features`` (windows, features).

    Args:
        features: Embeddings of all windows.
        widths: Width of the embeddings of each modality.
        task: The head to fit.
    """
    outcome = Outcome(task, float("nan"))
    with seeded(task.seed):
        head = task.build_head(widths).to(features.device)
        train = torch.from_numpy(task.train).to(features.device)
        targets = torch.from_numpy(task.classes[task.train]).to(features.device)
        head.fit(features.index_select(0, train), targets)

    def probabilities(members: NDArray[np.int64]) -> Tensor:
        with torch.no_grad():
            scores: Tensor = head(features.index_select(0, torch.from_numpy(members).to(features.device)))
            return scores.softmax(1)

    with torch.no_grad():
        loss = functional.cross_entropy(head(features.index_select(0, train)), targets)
    outcome.score(task.epochs, loss, probabilities)
    outcome.keep(head.state_dict())
    return outcome
