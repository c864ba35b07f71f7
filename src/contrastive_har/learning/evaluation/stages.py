"""Heads that are trained by gradient, along with some, all or none of the encoders' last stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

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
        task: The head to train.
        rate: Learning rate of Adam.
        compute: Device and precision.
        windows: All windows, raw, for an evaluation that also learns from unlabelled ones.
    """

    def __init__(
        self, backbone: Backbone, task: Task, rate: float, compute: Compute, windows: Windows | None = None
    ) -> None:
        self.backbone = backbone.to(compute.device)
        self.trained = task.settings.trained_stages
        self.task = task
        self.rate = rate
        self.compute = compute
        self.windows = windows
        self.steps = 0

    def run(self, activations: Activations) -> Outcome:
        """Train on the activations of the frozen stages for all windows."""
        device = self.compute.device
        outcome = Outcome(self.task, self.rate)
        before = {name: value.detach().cpu().clone() for name, value in self.backbone.state_dict().items()}
        with seeded(self.task.seed, self.compute.random_devices):
            self.head = self.task.build_head(self.backbone.widths).to(device)
            stages = self.backbone.trained(self.trained)
            self.penalised = [parameter for stage in stages for parameter in stage.parameters() if parameter.ndim > 1]
            parameters = [parameter for module in (*stages, self.head) for parameter in module.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=self.rate, fused=True)
            targets = torch.from_numpy(self.task.classes).to(device)
            train = torch.from_numpy(self.task.train).to(device)
            for epoch in range(1, self.task.epochs + 1):
                batches = train[torch.randperm(len(train)).to(device)].split(self.task.batch_size)
                loss = self._epoch(activations, targets, batches[: self.task.steps_in(epoch)], optimiser)
                outcome.score(epoch, loss, partial(self._probabilities, activations))
        after = self.backbone.state_dict()
        changed = {name: value for name, value in after.items() if not torch.equal(value.cpu(), before[name])}
        outcome.keep(self.head.state_dict(), changed)
        return outcome

    def _epoch(
        self, activations: Activations, targets: Tensor, batches: Sequence[Tensor], optimiser: torch.optim.Adam
    ) -> Tensor:
        """Take a step with each batch of windows; return the mean loss."""
        if self.trained != 0:
            self.backbone.train()
        self.head.train()
        total = torch.zeros((), device=targets.device)
        for index in batches:
            chosen = self._choose(activations, index)
            loss = self.head.loss(self._embed(chosen), targets.index_select(0, index))
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

    def _probabilities(self, activations: Activations, members: NDArray[np.int64]) -> Tensor:
        self.backbone.eval()
        self.head.eval()
        with torch.no_grad():
            parts = torch.from_numpy(members).to(self.compute.device).split(self.compute.inference_batch)
            return torch.cat([self.head(self._embed(self._choose(activations, part))).softmax(1) for part in parts])

    @staticmethod
    def _choose(activations: Activations, members: Tensor) -> dict[str, Tensor]:
        # Indexing keeps the memory order in which convolutions are fast; index_select does not.
        return {modality: values[members] for modality, values in activations.items()}

    def _embed(self, activations: Mapping[str, Tensor]) -> Tensor:
        with self.compute.autocast():
            return self.backbone.finish(activations, self.trained).float()
