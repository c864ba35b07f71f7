"""A classifier, trained along with an encoder's last stages or all of them."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.classification.tasks import EvaluationSettings, Outcome, Task
from contrastive_har.learning.compute import Compute
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.heads import linear_classifier
from contrastive_har.signals.seeds import seeded


class StageTraining:
    """Trains one classifier and the encoder's last stages."""

    def __init__(
        self, encoder: Encoder, task: Task, settings: EvaluationSettings, rate: float, compute: Compute
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self.frozen_stages = settings.frozen_stages(encoder.depth)
        self.task = task
        self.settings = settings
        self.rate = rate
        self.compute = compute

    def run(self, activations: Tensor) -> Outcome:
        """Train on what the frozen stages made of all windows."""
        device = self.compute.device
        outcome = Outcome(self.task, self.settings, self.rate)
        before = {name: value.detach().cpu().clone() for name, value in self.encoder.state_dict().items()}
        with seeded(self.task.seed, self.compute.random_devices):
            self.classifier = linear_classifier(self.encoder.features, self.task.outputs).to(device)
            stages = list(self.encoder.stages)[self.frozen_stages :]
            self.penalised = [parameter for stage in stages for parameter in stage.parameters() if parameter.ndim > 1]
            parameters = [parameter for module in (*stages, self.classifier) for parameter in module.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=self.rate, fused=True)
            targets = torch.from_numpy(self.task.classes).to(device)
            train = torch.from_numpy(self.task.train).to(device)
            for epoch in range(1, self.settings.epochs + 1):
                loss = self._epoch(activations, targets, train, optimiser)
                outcome.look(epoch, loss, partial(self._probabilities, activations))
        after = self.encoder.state_dict()
        changed = {name: value for name, value in after.items() if not torch.equal(value.cpu(), before[name])}
        outcome.keep(self.classifier.state_dict(), changed)
        return outcome

    def _epoch(self, activations: Tensor, targets: Tensor, train: Tensor, optimiser: torch.optim.Adam) -> Tensor:
        self.encoder.train()
        total = torch.zeros((), device=train.device)
        order = train[torch.randperm(len(train)).to(train.device)]
        for index in order.split(self.task.batch_size):
            loss = functional.cross_entropy(self._logits(activations, index), targets.index_select(0, index))
            penalty = torch.stack([weight.square().sum() for weight in self.penalised]).sum()
            optimiser.zero_grad(set_to_none=True)
            (loss + self.settings.weight_penalty * penalty).backward()
            optimiser.step()
            total += loss.detach() * len(index)
        return total / len(train)

    def _probabilities(self, activations: Tensor, members: NDArray[np.int64]) -> Tensor:
        self.encoder.eval()
        with torch.no_grad():
            parts = torch.from_numpy(members).to(activations.device).split(self.compute.inference_batch)
            return torch.cat([self._logits(activations, part).softmax(1) for part in parts])

    def _logits(self, activations: Tensor, members: Tensor) -> Tensor:
        with self.compute.autocast():
            # Indexed, not index_select: that loses the memory order convolutions are fast in.
            embeddings = self.encoder.run(activations[members], self.frozen_stages, self.encoder.depth)
        logits: Tensor = self.classifier(embeddings.float())
        return logits
