"""Heads that are trained by gradient, along with some, all or none of the encoders' last stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.evaluation.frozen import Activations
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.models.backbone import Backbone
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows


class StageTraining:
    """Trains one head and the encoders' last stages.

    Args:
        backbone: The backbone; its trained stages are changed.
        activations: Activations of its frozen stages for the windows that are used.
        task: The head to train.
        rate: Learning rate of Adam.
        compute: Device and precision.
        windows: All windows, raw, for an evaluation that also learns from unlabelled ones.
    """

    def __init__(
        self,
        backbone: Backbone,
        activations: Activations,
        task: Task,
        rate: float,
        compute: Compute,
        windows: Windows | None = None,
    ) -> None:
        self.backbone = backbone.to(compute.device)
        self.activations = activations
        self.trained = task.settings.trained_stages
        self.task = task
        self.rate = rate
        self.compute = compute
        self.windows = windows
        self.members = torch.from_numpy(task.train).to(compute.device)
        self.labels = torch.from_numpy(task.labels).to(compute.device)
        self.steps = 0
        self.outcome = Outcome(task, rate)

    def run(self) -> StageTraining:
        """Train; return this training, whose outcome is complete then."""
        device = self.compute.device
        before = {name: value.detach().cpu().clone() for name, value in self.backbone.state_dict().items()}
        with seeded(self.task.seed, self.compute.random_devices):
            self.head = self.task.build_head(self.backbone.widths).to(device)
            stages = self.backbone.trained(self.trained)
            self.penalised = [parameter for stage in stages for parameter in stage.parameters() if parameter.ndim > 1]
            parameters = [parameter for module in (*stages, self.head) for parameter in module.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=self.rate, fused=True)
            for epoch in range(1, self.task.epochs + 1):
                batches = self._draw().to(device).split(self.task.batch_size)
                loss = self._epoch(batches[: self.task.steps_in(epoch)], optimiser)
                self.outcome.score(epoch, loss, self.probabilities)
        after = self.backbone.state_dict()
        changed = {name: value for name, value in after.items() if not torch.equal(value.cpu(), before[name])}
        self.outcome.keep(self.head.state_dict(), changed)
        return self

    def _draw(self) -> Tensor:
        """Return places in the task's ``train`` in random order: each once, or as often as the weights say."""
        count, weights = len(self.task.train), self.task.weights
        if weights is None or (weights == weights[0]).all():
            return torch.randperm(count)
        return torch.multinomial(torch.from_numpy(weights), count, replacement=True)

    def _epoch(self, batches: Sequence[Tensor], optimiser: torch.optim.Adam) -> Tensor:
        """Take a step with each batch of places in the task's ``train``; return the mean loss."""
        if self.trained != 0:
            self.backbone.train()
        self.head.train()
        total = torch.zeros((), device=self.labels.device)
        for index in batches:
            chosen = self._choose(self.members.index_select(0, index))
            loss = self.head.loss(self._embed(chosen), self.labels.index_select(0, index))
            optimiser.param_groups[0]["lr"] = self.task.rate_at(self.steps, self.rate)
            self.steps += 1
            optimiser.zero_grad(set_to_none=True)
            (loss + self._penalty() + self._auxiliary(chosen) + self._consistency(len(index))).backward()
            optimiser.step()
            total += loss.detach() * len(index)
        return total / sum(map(len, batches))

    def _penalty(self) -> Tensor | float:
        if not self.penalised:
            return 0.0
        return self.task.settings.weight_penalty * torch.stack([w.square().sum() for w in self.penalised]).sum()

    def _auxiliary(self, activations: Mapping[str, Tensor]) -> Tensor | float:
        with self.compute.autocast():
            loss = self.backbone.auxiliary_loss(activations, self.trained)
        return 0.0 if loss is None else loss

    def _consistency(self, labelled: int) -> Tensor | float:
        """Return the loss of a random batch of unlabelled windows, given the number of labelled ones in the step."""
        settings, unlabelled = self.task.settings.consistency, self.task.unlabelled
        if settings is None or self.windows is None or len(unlabelled) == 0:
            return 0.0
        chosen = unlabelled[torch.randint(len(unlabelled), (settings.windows * labelled,)).numpy()]
        seed = int(torch.randint(2**62, ()))
        windows = self.backbone.normalise(torch.from_numpy(self.windows.signals[chosen]).to(self.compute.device))
        draws = Draws(torch.Generator(windows.device).manual_seed(seed))
        return settings.loss(self._recognise, windows, draws, self.backbone.layout)

    def _recognise(self, windows: Tensor) -> Tensor:
        with self.compute.autocast():
            entered = self.backbone.begin_normalised(windows, self.trained)
        scores: Tensor = self.head(self._embed(entered))
        return scores

    def probabilities(self, members: NDArray[np.int64]) -> Tensor:
        """Return class probabilities (members, classes) of windows."""
        self.backbone.eval()
        self.head.eval()
        with torch.no_grad():
            parts = torch.from_numpy(members).to(self.compute.device).split(self.compute.inference_batch)
            return torch.cat([self.head(self._embed(self._choose(part))).softmax(1) for part in parts])

    def _choose(self, members: Tensor) -> dict[str, Tensor]:
        # Indexing keeps the memory order in which convolutions are fast; index_select does not.
        return {modality: values[members] for modality, values in self.activations.items()}

    def _embed(self, activations: Mapping[str, Tensor]) -> Tensor:
        with self.compute.autocast():
            return self.backbone.finish(activations, self.trained).float()
