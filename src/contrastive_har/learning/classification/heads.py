"""Linear classifiers on frozen features, trained side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.classification.tasks import EvaluationSettings, Outcome, Task
from contrastive_har.learning.compute import Compute
from contrastive_har.models.heads import linear_classifier
from contrastive_har.signals.seeds import seeded


def train_side_by_side(
    features: Mapping[int, Tensor], tasks: Sequence[Task], settings: EvaluationSettings, rate: float, compute: Compute
) -> Iterator[Outcome]:
    """Train linear classifiers on frozen features (windows, features) by repeat, as many at once as keep step."""
    for steps in sorted({task.steps for task in tasks}):
        heads = _Heads(features, [task for task in tasks if task.steps == steps], settings, rate, compute.device)
        yield from heads.run()


class _Heads:
    """Linear classifiers with equally many batches an epoch, trained side by side.

    Batches are padded to the largest; each classifier has its own generator, and Adam works entry by entry, so that
    none knows of the others.
    """

    def __init__(
        self,
        features: Mapping[int, Tensor],
        tasks: Sequence[Task],
        settings: EvaluationSettings,
        rate: float,
        device: torch.device,
    ) -> None:
        self.features = features
        self.tasks = tasks
        self.settings = settings
        self.rate = rate
        self.generators = [torch.Generator().manual_seed(task.seed) for task in tasks]
        width = next(iter(features.values())).shape[1]
        initial = [_initial_classifier(width, task) for task in tasks]
        weights, biases = zip(*((one.weight.detach().T, one.bias.detach()) for one in initial), strict=True)
        self.weights = torch.stack(weights).to(device).requires_grad_()
        self.biases = torch.stack(biases).unsqueeze(1).to(device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.weights, self.biases], lr=rate, fused=True)
        most = max(len(task.train) for task in tasks)
        self.examples = torch.zeros(len(tasks), most, width, device=device)
        self.targets = torch.zeros(len(tasks), most, dtype=torch.long, device=device)
        for head, task in enumerate(tasks):
            train = torch.from_numpy(task.train).to(device)
            self.examples[head, : len(train)] = features[task.repeat].index_select(0, train)
            self.targets[head, : len(train)] = torch.from_numpy(task.classes[task.train]).to(device)

    def run(self) -> list[Outcome]:
        """Train all; return an outcome a task."""
        outcomes = [Outcome(task, self.settings, self.rate) for task in self.tasks]
        sizes = torch.tensor([len(task.train) for task in self.tasks], device=self.weights.device)
        for epoch in range(1, self.settings.epochs + 1):
            losses = torch.stack([self._step(batch) for batch in self._batches()]).sum(0) / sizes
            for head, outcome in enumerate(outcomes):
                outcome.look(epoch, losses[head], partial(self._probabilities, head))
        for head, outcome in enumerate(outcomes):
            outcome.keep({"weight": self.weights[head].T, "bias": self.biases[head, 0]})
        return outcomes

    def _batches(self) -> Tensor:
        """Return this epoch's batches (steps, heads, batch) of places among the head's examples; -1 pads."""
        largest = max(task.batch_size for task in self.tasks)
        batches = torch.full((self.tasks[0].steps, len(self.tasks), largest), -1)
        for head, (task, generator) in enumerate(zip(self.tasks, self.generators, strict=True)):
            size = task.batch_size
            order = torch.full((task.steps * size,), -1)
            order[: len(task.train)] = torch.randperm(len(task.train), generator=generator)
            batches[:, head, :size] = order.view(task.steps, size)
        return batches.to(self.weights.device)

    def _step(self, batch: Tensor) -> Tensor:
        """Take one step of every head; return their summed losses (heads,)."""
        real = batch >= 0
        place = batch.clamp(min=0)
        examples = self.examples.gather(1, place.unsqueeze(-1).expand(-1, -1, self.examples.shape[2]))
        logits = torch.baddbmm(self.biases, examples, self.weights)
        losses = functional.cross_entropy(logits.transpose(1, 2), self.targets.gather(1, place), reduction="none")
        summed = (losses * real).sum(1)
        self.optimiser.zero_grad(set_to_none=True)
        (summed / real.sum(1)).sum().backward()
        self.optimiser.step()
        return summed.detach()

    def _probabilities(self, head: int, members: NDArray[np.int64]) -> Tensor:
        with torch.no_grad():
            chosen = self.features[self.tasks[head].repeat].index_select(
                0, torch.from_numpy(members).to(self.weights.device)
            )
            return torch.addmm(self.biases[head], chosen, self.weights[head]).softmax(1)


def _initial_classifier(width: int, task: Task) -> nn.Linear:
    with seeded(task.seed):
        return linear_classifier(width, task.outputs)
