"""The training loop of all objectives, on any device."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.learning.compute import Compute
from contrastive_har.learning.objectives import Objective, Step, StepResult
from contrastive_har.learning.pretraining.batches import Batches
from contrastive_har.learning.pretraining.checkpoints import Checkpoint, Checkpoints
from contrastive_har.learning.pretraining.diagnostics import SAMPLE, SPREADS, diagnose, measure_spread
from contrastive_har.learning.pretraining.plans import PretrainingBudget
from contrastive_har.learning.progress import progress_bar
from contrastive_har.models.layers.dropout import switch_off_dropout
from contrastive_har.scores.collapse import has_collapsed
from contrastive_har.signals.seeds import derive_seed

MEASURED = [
    *("loss", "learning_rate", "seconds", "windows_per_second", "cluster_nmi", "alignment", "uniformity"),
    *SPREADS,
]
"""Measurements of each epoch."""


class Trainer:
    """Trains one objective once.

    No random state is carried from one epoch to the next: every epoch's batches and dropout, and every step's views,
    have their own seeds. So training that continues from a checkpoint ends with the same weights.

    Args:
        objective: The objective, with the encoders to train.
        budget: Epochs, batch size and learning rate.
        compute: Device, precision and processes.
        seed: Seed of batches, views and dropout.
        title: Name for the progress bar.
        checkpoints: Checkpoints to save and to continue from; None for none.
    """

    def __init__(
        self,
        objective: Objective,
        budget: PretrainingBudget,
        compute: Compute,
        seed: int,
        title: str = "",
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.objective = objective.to(compute.device)
        self.budget = budget
        self.compute = compute
        self.title = title
        self.seed = seed
        self.checkpoints = checkpoints
        self.steps = 0
        self.rows: list[dict[str, float]] = []
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.optimiser = torch.optim.Adam(objective.parameters(), lr=budget.learning_rate, fused=True)
        objective.train()
        if not budget.dropout:
            switch_off_dropout(objective)

    def run(self, windows: Batches, classes: NDArray[np.int64]) -> list[dict[str, float]]:
        """Train on windows; leave the chosen epoch's weights in the encoders.

        Args:
            windows: Windows to learn from.
            classes: Their class indices (windows,), for diagnostics only.

        Returns:
            The measurements of each epoch.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        if self.checkpoints and (state := self.checkpoints.newest()):
            with refuse_broken(self.checkpoints.path(state.epoch), "checkpoint"):
                self._restore(state)
        epochs, done = self.budget.epochs, len(self.rows)
        with progress_bar(self.title, epochs * len(windows), "windows", self.compute, done=done * len(windows)) as bar:
            bar.set_postfix_str(f"epoch {done + 1}/{epochs}", refresh=False)
            for epoch in range(done + 1, epochs + 1):
                rate = self.budget.rate_after([row["loss"] for row in self.rows])
                self.optimiser.param_groups[0]["lr"] = rate
                row = self._epoch(epoch, windows, classes, bar)
                self.rows.append({"learning_rate": rate, **row})
                bar.set_postfix_str(f"epoch {epoch}/{epochs}, loss {row['loss']:.3f}", refresh=False)
                eligible = self.budget.keep == "best_in_second_half" and epoch > epochs // 2
                if eligible and (self.best is None or row["loss"] < self.best[0]):
                    self.best = row["loss"], {name: value.clone() for name, value in self._encoder_state().items()}
                self._save(epoch)
        if self.best is not None:
            self._load_encoders(self.best[1])
        if has_collapsed(self.rows[-1]) and self.compute.rank == 0:
            measured = ", ".join(f"{name} {self.rows[-1][name]:.2g}" for name in (*SPREADS, "uniformity"))
            logging.getLogger(__name__).warning(
                "%s has collapsed: nearly all windows are embedded or projected alike (%s).", self.title, measured
            )
        return self.rows

    def step(self, batch: Tensor, progress: float = 0.0, nearby: Tensor | None = None) -> StepResult:
        """Train on one batch of normalised windows, or on the share of this process.

        Args:
            batch: (batch, time, channels).
            progress: Share of the training that is completed.
            nearby: A neighbour of each window, of which views after the first are made; None makes all of the window.
        """
        step = Step(derive_seed(self.seed, "draws", self.steps), self.compute, progress, nearby)
        result = self.objective.loss(batch, step)
        self.steps += 1
        self.optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        self.compute.average_gradients(self.objective.parameters())
        self.optimiser.step()
        return result

    def _epoch(self, epoch: int, windows: Batches, classes: NDArray[np.int64], bar: tqdm[Any]) -> dict[str, float]:
        started = time.perf_counter()
        # Dropout draws from the global random state, which must differ between the processes.
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch, self.compute.rank))
        batches = torch.Generator().manual_seed(derive_seed(self.seed, "batches", epoch))
        order = torch.randperm(len(windows), generator=batches)
        total = torch.zeros((), device=windows.device)
        counted = 0
        first: dict[str, float] = {}
        size = self.budget.batch_size
        # Copied to the device once: a step would wait for each copy.
        for index, placed in zip(order.split(size), order.to(windows.device).split(size), strict=True):
            if not self.budget.uses(len(index), len(windows), self.compute.processes, self.objective.fewest):
                continue
            progress = (epoch - 1 + counted / len(windows)) / self.budget.epochs
            nearby = self._nearby(windows, placed)
            result = self.step(windows.take(self.compute.share(placed)), progress, nearby)
            total += result.loss.detach() * len(index)
            counted += len(index)
            first = first or diagnose(result, classes[index.numpy()])
            bar.update(len(index))
        loss = float(total) / counted if counted else float("nan")
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{self.title}: the loss is {loss}. Lower budget.learning_rate or set compute.precision: float32."
            )
        seconds = time.perf_counter() - started
        spread = measure_spread(self.objective, windows.take(order[: min(size, SAMPLE)]))
        return {"loss": loss, "seconds": seconds, "windows_per_second": len(windows) / seconds, **first, **spread}

    def _nearby(self, windows: Batches, placed: Tensor) -> Tensor | None:
        """Return a random neighbour of each window of this process's share of a batch, if the objective asks for it."""
        if not self.objective.neighbours:
            return None
        generator = torch.Generator(windows.device).manual_seed(derive_seed(self.seed, "neighbours", self.steps))
        return windows.take(self.compute.share(windows.draw_neighbours(placed, generator)))

    def _encoder_state(self) -> dict[str, Tensor]:
        """Return the state of all encoders; names are prefixed with the index of the encoder."""
        return {
            f"{number}.{name}": value
            for number, encoder in enumerate(self.objective.encoders)
            for name, value in encoder.state_dict().items()
        }

    def _load_encoders(self, state: dict[str, Tensor]) -> None:
        for number, encoder in enumerate(self.objective.encoders):
            prefix = f"{number}."
            encoder.load_state_dict(
                {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            )

    def _save(self, epoch: int) -> None:
        """Save a checkpoint if it is due."""
        due = self.checkpoints and (epoch % self.checkpoints.every == 0 or epoch == self.budget.epochs)
        if not due or self.checkpoints is None or self.compute.rank:
            return
        tensors = {f"objective/{name}": value for name, value in self.objective.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in values.items()}
        if self.best:
            tensors |= {f"best/{name}": value for name, value in self.best[1].items()}
        facts = {"steps": self.steps, "rows": self.rows, "least_loss": self.best and self.best[0]}
        self.checkpoints.save(Checkpoint(epoch, tensors, facts))

    def _restore(self, state: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
        parts: dict[str, dict[str, Tensor]] = {"objective": {}, "optimiser": {}, "best": {}}
        for name, value in state.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value
        self.objective.load_state_dict(parts["objective"])
        moments: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.objective.parameters())
        for name, value in parts["optimiser"].items():
            index, _, rest = name.partition("/")
            # The fused optimiser needs moments in the memory order of the weights, which a file does not preserve.
            like = torch.empty_like(parameters[int(index)]) if value.ndim else torch.empty_like(value)
            moments.setdefault(int(index), {})[rest] = like.copy_(value)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.steps = state.facts["steps"]
        self.rows = list(state.facts["rows"])
        if parts["best"]:
            self.best = state.facts["least_loss"], parts["best"]
        logging.getLogger(__name__).info("%s continues after epoch %d.", self.title, state.epoch)
