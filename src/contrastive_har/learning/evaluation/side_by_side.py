"""Linear heads on frozen features, trained side by side as one stack of matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.models.heads.linear import Linear
from contrastive_har.signals.seeds import seeded


def train_side_by_side(features: Tensor, tasks: Sequence[Task], rate: float, compute: Compute) -> Iterator[Outcome]:
    """Train linear heads on frozen features (windows, features); heads with equally many batches together."""
    for batches in sorted({task.batches for task in tasks}):
        heads = _Heads(features, [task for task in tasks if task.batches == batches], rate, compute.device)
        yield from heads.run()


class _Heads:
    """Linear heads with equally many batches per epoch.

    Batches are padded to the largest. Each head has its own generator, and Adam updates each weight separately, so that
    the heads are independent.
    """

    def __init__(
        self,
        features: Tensor,
        tasks: Sequence[Task],
        rate: float,
        device: torch.device,
    ) -> None:
        self.features = features
        self.tasks = tasks
        self.rate = rate
        self.steps = 0
        self.generators = [torch.Generator().manual_seed(task.seed) for task in tasks]
        width = features.shape[1]
        initial = [_initial_head(width, task).linear for task in tasks]
        weights, biases = zip(*((layer.weight.detach().T, layer.bias.detach()) for layer in initial), strict=True)
        self.weights = torch.stack(weights).to(device).requires_grad_()
        self.biases = torch.stack(biases).unsqueeze(1).to(device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.weights, self.biases], lr=rate, fused=True)
        most_windows = max(len(task.train) for task in tasks)
        self.examples = torch.zeros(len(tasks), most_windows, width, device=device)
        self.targets = torch.zeros(len(tasks), most_windows, dtype=torch.long, device=device)
        for head, task in enumerate(tasks):
            train = torch.from_numpy(task.train).to(device)
            self.examples[head, : len(train)] = features.index_select(0, train)
            self.targets[head, : len(train)] = torch.from_numpy(task.labels).to(device)

    def run(self) -> list[Outcome]:
        """Train all; return one outcome per task."""
        outcomes = [Outcome(task, self.rate) for task in self.tasks]
        for epoch in range(1, self.tasks[0].epochs + 1):
            batches = self._batches()[: self.tasks[0].steps_in(epoch)]
            losses = torch.stack([self._step(batch) for batch in batches]).sum(0) / (batches >= 0).sum((0, 2))
            for head, outcome in enumerate(outcomes):
                outcome.score(epoch, losses[head], partial(self._probabilities, head))
        for head, outcome in enumerate(outcomes):
            outcome.keep({"linear.weight": self.weights[head].T, "linear.bias": self.biases[head, 0]})
        return outcomes

    def _batches(self) -> Tensor:
        """Return this epoch's batches (steps, heads, batch) of indices of the head's examples; -1 pads."""
        largest = max(task.batch_size for task in self.tasks)
        batches = torch.full((self.tasks[0].batches, len(self.tasks), largest), -1)
        for head, (task, generator) in enumerate(zip(self.tasks, self.generators, strict=True)):
            size = task.batch_size
            order = torch.full((task.batches * size,), -1)
            order[: len(task.train)] = torch.randperm(len(task.train), generator=generator)
            batches[:, head, :size] = order.view(task.batches, size)
        return batches.to(self.weights.device)

    def _step(self, batch: Tensor) -> Tensor:
        """Take one step of every head; return their summed losses (heads,)."""
        real = batch >= 0
        index = batch.clamp(min=0)
        examples = self.examples.gather(1, index.unsqueeze(-1).expand(-1, -1, self.examples.shape[2]))
        logits = torch.baddbmm(self.biases, examples, self.weights)
        losses = functional.cross_entropy(logits.transpose(1, 2), self.targets.gather(1, index), reduction="none")
        summed = (losses * real).sum(1)
        self.optimiser.param_groups[0]["lr"] = self.tasks[0].rate_at(self.steps, self.rate)
        self.steps += 1
        self.optimiser.zero_grad(set_to_none=True)
        (summed / real.sum(1)).sum().backward()
        self.optimiser.step()
        return summed.detach()

    def _probabilities(self, head: int, members: NDArray[np.int64]) -> Tensor:
        with torch.no_grad():
            chosen = self.features.index_select(0, torch.from_numpy(members).to(self.weights.device))
            return torch.addmm(self.biases[head], chosen, self.weights[head]).softmax(1)


def _initial_head(width: int, task: Task) -> Linear:
    with seeded(task.seed):
        return cast(Linear, task.build_head([width]))
