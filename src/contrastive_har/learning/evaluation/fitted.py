"""Heads that are fitted to frozen features, in closed form or by a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.models.heads import Head
from contrastive_har.scores.metrics import confusion_matrix, macro_f1
from contrastive_har.signals.seeds import seeded


def fit_head(features: Tensor, widths: Sequence[int], task: Task) -> Outcome:
    """Fit a head to the labelled windows' frozen ``features`` (windows, features), and self-train it if asked to.

    Args:
        features: Embeddings of all windows.
        widths: Width of the embeddings of each modality.
        task: The head to fit.
    """
    with seeded(task.seed):
        fitted = list(_Fitting(features, widths, task).rounds())
    last = len(fitted)
    if len(task.validation):
        validated = [_macro_f1(task, _probabilities(features, head, task.validation)) for head, _ in fitted]
        last = 1 + int(np.argmax(validated))
    outcome = Outcome(task, float("nan"), epochs=last)
    for number, (head, loss) in enumerate(fitted[:last], start=1):
        outcome.score(number, loss, partial(_probabilities, features, head))
    outcome.keep(fitted[last - 1][0].state_dict())
    return outcome


class _Fitting:
    """One head, fitted to labelled windows and then to more and more that it labels itself."""

    def __init__(self, features: Tensor, widths: Sequence[int], task: Task) -> None:
        self.features, self.widths, self.task = features, widths, task

    def rounds(self) -> Iterator[tuple[Head, float]]:
        """Yield the head of each round, first that of the labelled windows alone, with its loss on them."""
        task, settings = self.task, self.task.settings.self_training
        labels = task.classes[task.train]
        head = self._fit(self.task.build_head(self.widths).to(self.features.device), task.train, labels)
        yield head, self._loss(head)
        if settings is None or len(task.unlabelled) == 0:
            return
        known = np.concatenate([task.train, task.unlabelled])
        for share in settings.shares:
            probabilities = _probabilities(self.features, head, known).numpy()
            if settings.averaged:
                probabilities = task.neighbours.average(probabilities, known).astype(np.float32)
            chosen, recognised = settings.choose(probabilities[len(task.train) :], labels, share)
            weights = settings.weights(len(labels), len(chosen))
            members = np.concatenate([task.train, task.unlabelled[chosen]])
            head = self._fit(deepcopy(head), members, np.concatenate([labels, recognised]), weights)
            yield head, self._loss(head)

    def _fit(
        self,
        head: Head,
        members: NDArray[np.int64],
        classes: NDArray[np.int64],
        weights: NDArray[np.float64] | None = None,
    ) -> Head:
        # Libraries fit on the CPU, and in double precision, which MPS does not have.
        chosen = self.features.index_select(0, torch.from_numpy(members).to(self.features.device)).cpu()
        of_windows = None if weights is None else torch.from_numpy(weights)
        head.cpu().fit(chosen, torch.from_numpy(classes), of_windows)
        return head.to(self.features.device)

    def _loss(self, head: Head) -> float:
        """Return the mean cross-entropy of the labelled windows."""
        train = torch.from_numpy(self.task.train).to(self.features.device)
        targets = torch.from_numpy(self.task.classes[self.task.train]).to(self.features.device)
        with torch.no_grad():
            return float(functional.cross_entropy(head(self.features.index_select(0, train)), targets))


def _probabilities(features: Tensor, head: Head, members: NDArray[np.int64]) -> Tensor:
    with torch.no_grad():
        scores: Tensor = head(features.index_select(0, torch.from_numpy(members).to(features.device)))
        return scores.softmax(1).cpu()


def _macro_f1(task: Task, probabilities: Tensor) -> float:
    predicted = probabilities.argmax(1).numpy()
    return macro_f1(confusion_matrix(task.classes[task.validation], predicted, len(task.class_names)))
