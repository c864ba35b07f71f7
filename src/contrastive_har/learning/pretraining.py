"""The one pre-training loop: every method, every repeat, any device."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm.auto import tqdm

from contrastive_har.learning.checkpoints import Checkpoint, Checkpoints
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.methods import Learner, PretrainingMethod, Step
from contrastive_har.learning.trained_encoders import EncoderSet, TrainedEncoder, build_encoder
from contrastive_har.models.dropout import switch_off_dropout
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.signals.fingerprints import code_version, fingerprint
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.recordings import UNLABELLED
from contrastive_har.signals.schema import refuse_broken
from contrastive_har.signals.seeds import derive_seed, seeded

_MEASURED = ["loss", "learning_rate", "seconds", "windows_per_second", "cluster_nmi"]
HISTORY_COLUMNS = ["repeat", "epoch", *_MEASURED]


FEWEST = 2  # windows a batch: a single one has nothing to be contrasted with


class PretrainingBudget(BaseModel):
    """How long and how an encoder is pre-trained; the same for every method.

    Attributes:
        epochs: Passes over the pre-training windows.
        batch_size: Windows a step; the last, smaller batch of an epoch is kept.
        learning_rate: Adam's, constant.
        keep: ``best_in_second_half`` keeps the epoch of least training loss among the second half, as published;
            ``last`` keeps the last.
        dropout: Whether the encoder's dropout is active; it was not in the published training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    learning_rate: float = Field(gt=0)
    keep: Literal["best_in_second_half", "last"] = "best_in_second_half"
    dropout: bool = False

    def smallest_batch(self, windows: int, processes: int = 1) -> int:
        """Return the size of an epoch's smallest batch, as ``processes`` share it.

        A last batch of too few windows is left out, and of one that they cannot share evenly what remains.
        """
        rest = windows % self.batch_size
        smallest = min(windows, rest if rest >= max(FEWEST, processes) else self.batch_size)
        return smallest // processes * processes


def pretrain(
    signals: NDArray[np.float32],
    classes: NDArray[np.int64],
    members: Sequence[NDArray[np.int64]],
    method: PretrainingMethod,
    encoder: EncoderSettings,
    budget: PretrainingBudget,
    compute: ComputeSettings,
    seed: int,
    title: str,
    checkpoints: Path | None = None,
) -> tuple[EncoderSet, pd.DataFrame]:
    """Pre-train one encoder a repeat.

    The seed of a repeat does not depend on the method, so methods start from the same weights and see the same
    batches: their scores are paired.

    Args:
        signals: All windows (windows, time, channels), raw.
        classes: Class of each window, -1 where unlabelled; used for the cluster diagnostics only, never for learning.
        members: For each repeat, the windows to learn from.
        method: What to train with.
        encoder: What to train.
        budget: How long.
        compute: Where, how precisely and in how many processes.
        seed: Seed of the whole run.
        title: Name for the progress bar.
        checkpoints: Folder of unfinished trainings' states, in which these encoders' have a folder of their own
            (:func:`checkpoints_of`). One of the same code, data, settings and seed goes on from there, and ends as if
            it had never been interrupted. Nothing is saved where there is no folder.

    Returns:
        The encoders, and the history: one row per repeat and epoch.

    Raises:
        ValueError: if the processes asked for cannot share a batch evenly, or the encoder's batch normalisation.
        FloatingPointError: if the loss stops being a number.
    """
    if budget.batch_size % compute.processes_in_all:
        raise ValueError(
            f"pretraining.batch_size {budget.batch_size} does not divide among {compute.processes_in_all} processes. "
            "Choose a multiple."
        )
    normalisations = [Normalisation.of(signals[chosen]) for chosen in members]
    shape = (signals.shape[1], signals.shape[2])
    networks = [_initial_encoder(encoder, shape, seed, repeat) for repeat in range(len(members))]
    history = torch.full((len(members), budget.epochs, len(_MEASURED)), torch.nan, dtype=torch.float64)
    several = method.trains and compute.processes_in_all > 1
    if several and any(isinstance(module, _BatchNorm) for module in networks[0].modules()):
        raise ValueError(
            f"{title}: batch normalisation would see each process's share of a batch and not all of it. Set the "
            "encoder's batch_norm: false or compute.processes: 1."
        )
    trained = fingerprint(code_version(), signals, method, encoder, budget, seed)
    trained_with = fingerprint(trained, *members)
    if method.trains:
        windows = torch.from_numpy(signals)
        folder = checkpoints and checkpoints_of(checkpoints, trained_with)
        saving = Checkpoints(folder, trained, compute.checkpoint_every) if folder else None
        compute.run(
            _pretrain_repeats,
            networks,
            history,
            windows,
            classes,
            members,
            normalisations,
            method,
            budget,
            seed,
            title,
            saving,
        )
    encoders = EncoderSet(
        settings=encoder,
        shape=shape,
        fingerprint=trained_with,
        encoders=tuple(
            TrainedEncoder(
                {name: value.detach().clone() for name, value in network.state_dict().items()}, normalisation
            )
            for network, normalisation in zip(networks, normalisations, strict=True)
        ),
    )
    places = pd.MultiIndex.from_product([range(len(members)), range(1, budget.epochs + 1)], names=["repeat", "epoch"])
    table = pd.DataFrame(history.flatten(0, 1).numpy(), places, _MEASURED).reset_index()
    return encoders, table if method.trains else table[:0]


def checkpoints_of(checkpoints: Path, encoders: str) -> Path:
    """Return where, in a folder of unfinished trainings' states, those lie that lead to encoders of a fingerprint."""
    return checkpoints / encoders[:16]


def _initial_encoder(settings: EncoderSettings, shape: tuple[int, int], seed: int, repeat: int) -> Encoder:
    with seeded(derive_seed(seed, "weights", repeat)):
        return build_encoder(settings, shape)


def _pretrain_repeats(
    compute: Compute,
    networks: Sequence[Encoder],
    history: Tensor,
    windows: Tensor,
    classes: NDArray[np.int64],
    members: Sequence[NDArray[np.int64]],
    normalisations: Sequence[Normalisation],
    method: PretrainingMethod,
    budget: PretrainingBudget,
    seed: int,
    title: str,
    saving: Checkpoints | None,
) -> None:
    """Train every repeat's network in place and fill the history (repeats, epochs, columns)."""
    for repeat, (network, chosen, normalisation) in enumerate(zip(networks, members, normalisations, strict=True)):
        with seeded(derive_seed(seed, "head", repeat), compute.random_devices):
            learner = method.build(deepcopy(network), (windows.shape[1], windows.shape[2]), int(classes.max()) + 1)
            own = saving and replace(
                saving, training=fingerprint(saving.training, chosen, repeat, str(compute), compute.processes)
            )
            name = f"{title} {repeat + 1}/{len(members)}"
            trainer = Trainer(learner, budget, compute, derive_seed(seed, repeat), name, own)
            normalised = torch.from_numpy(normalisation(windows.numpy()[chosen]))
            rows = trainer.run(normalised, classes[chosen])
        if compute.rank:
            continue  # the first process has come to the same weights
        network.load_state_dict(learner.encoder.state_dict())
        history[repeat] = torch.tensor([[row[name] for name in _MEASURED] for row in rows], dtype=history.dtype)


class Trainer:
    """Trains one method once.

    Nothing random is carried from one epoch to the next: every epoch's batches and dropout, and every step's views,
    have seeds of their own. So a training goes on from a saved state without a trace.

    Args:
        learner: The method.
        budget: How long and how fast.
        compute: Where, how precisely and in how many processes.
        seed: Seed of batches, views and dropout.
        title: Name for the progress bar.
        checkpoints: Where states are saved, if anywhere.
    """

    def __init__(
        self,
        learner: Learner,
        budget: PretrainingBudget,
        compute: Compute,
        seed: int,
        title: str = "",
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.learner = learner.to(compute.device)
        self.budget = budget
        self.compute = compute
        self.title = title
        self.seed = seed
        self.checkpoints = checkpoints
        self.steps = 0
        self.rows: list[dict[str, float]] = []
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.optimiser = torch.optim.Adam(learner.parameters(), lr=budget.learning_rate, fused=True)
        learner.train()
        if not budget.dropout:
            switch_off_dropout(learner)

    def run(self, windows: Tensor, classes: NDArray[np.int64]) -> list[dict[str, float]]:
        """Train on normalised ``windows`` (windows, time, channels); leave the kept epoch's weights in the encoder.

        Returns what was measured in each epoch.
        """
        windows = windows.to(self.compute.device)
        if self.checkpoints and (state := self.checkpoints.newest()):
            with refuse_broken(self.checkpoints.path(state.epoch), "checkpoint"):
                self._restore(state)
        # The bar counts windows: its rate is windows/s and its forecast the time left.
        with tqdm(
            total=self.budget.epochs * len(windows),
            initial=len(self.rows) * len(windows),
            unit=" windows",
            unit_scale=True,
            desc=self.title,
            bar_format="{desc} {percentage:3.0f}%{postfix}, {rate_fmt}, {remaining} left |{bar}|",
            postfix=f"epoch {len(self.rows) + 1}/{self.budget.epochs}",
            disable=None if self.compute.rank == 0 else True,
        ) as bar:
            for epoch in range(len(self.rows) + 1, self.budget.epochs + 1):
                row = self._epoch(epoch, windows, classes, bar)
                self.rows.append({"learning_rate": self.budget.learning_rate, **row})
                bar.set_postfix_str(f"epoch {epoch}/{self.budget.epochs}, loss {row['loss']:.3f}")
                eligible = self.budget.keep == "best_in_second_half" and epoch > self.budget.epochs // 2
                if eligible and (self.best is None or row["loss"] < self.best[0]):
                    self.best = row["loss"], {k: v.clone() for k, v in self.learner.encoder.state_dict().items()}
                self._save(epoch)
        if self.best is not None:
            self.learner.encoder.load_state_dict(self.best[1])
        return self.rows

    def _save(self, epoch: int) -> None:
        """Save the state of the training, if it is time to."""
        due = self.checkpoints and (epoch % self.checkpoints.every == 0 or epoch == self.budget.epochs)
        if not due or self.checkpoints is None or self.compute.rank:
            return
        tensors = {f"learner/{name}": value for name, value in self.learner.state_dict().items()}
        for place, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{place}/{name}": value for name, value in values.items()}
        if self.best:
            tensors |= {f"best/{name}": value for name, value in self.best[1].items()}
        facts = {"steps": self.steps, "rows": self.rows, "least_loss": self.best and self.best[0]}
        self.checkpoints.save(Checkpoint(epoch, tensors, facts))

    def _restore(self, state: Checkpoint) -> None:
        """Go back to a saved state."""
        parts: dict[str, dict[str, Tensor]] = {"learner": {}, "optimiser": {}, "best": {}}
        for name, value in state.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value
        self.learner.load_state_dict(parts["learner"])
        moments: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.learner.parameters())
        for name, value in parts["optimiser"].items():
            place, _, rest = name.partition("/")
            # The fused optimiser walks weights and moments in memory order, which a file does not keep.
            like = torch.empty_like(parameters[int(place)]) if value.ndim else torch.empty_like(value)
            moments.setdefault(int(place), {})[rest] = like.copy_(value)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.steps = state.facts["steps"]
        self.rows = list(state.facts["rows"])
        if parts["best"]:
            self.best = state.facts["least_loss"], parts["best"]
        logging.getLogger(__name__).info("%s goes on after epoch %d.", self.title, state.epoch)

    def _epoch(self, epoch: int, windows: Tensor, classes: NDArray[np.int64], bar: tqdm[Any]) -> dict[str, float]:
        started = time.perf_counter()
        # Dropout draws from global random state, and must not fall on the same places of every process's share.
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch, self.compute.rank))
        batches = torch.Generator().manual_seed(derive_seed(self.seed, "batches", epoch))
        order = torch.randperm(len(windows), generator=batches)
        total = torch.zeros((), device=windows.device)
        counted = 0
        agreement: float | None = None
        for index in order.split(self.budget.batch_size):
            if len(index) < max(FEWEST, self.compute.processes):
                continue  # every process needs a window
            step = self.step(windows.index_select(0, self.compute.share(index).to(windows.device)))
            total += step.loss.detach() * len(index)
            counted += len(index)
            if step.clusters is not None and agreement is None:
                agreement = _agreement(step.clusters[0], classes[index.numpy()[: len(step.clusters[0])]])
            bar.update(len(index))
        loss = float(total) / counted if counted else float("nan")
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{self.title}: the loss is {loss}. Lower pretraining.learning_rate or set compute.precision: float32."
            )
        seconds = time.perf_counter() - started
        return {
            "loss": loss,
            "seconds": seconds,
            "windows_per_second": len(windows) / seconds,
            "cluster_nmi": float("nan") if agreement is None else agreement,
        }

    def step(self, batch: Tensor) -> Step:
        """Learn from one batch of normalised windows (batch, time, channels); of many processes, from its share."""
        step = self.learner.loss(batch, derive_seed(self.seed, "draws", self.steps), self.compute)
        self.steps += 1
        self.optimiser.zero_grad(set_to_none=True)
        step.loss.backward()
        self.compute.sum_gradients(self.learner.parameters())
        self.optimiser.step()
        return step


def _agreement(clusters: Tensor, classes: NDArray[np.int64]) -> float:
    """Return the normalised mutual information of one batch's clusters and labels (a diagnostic of the first batch)."""
    from sklearn.metrics import normalized_mutual_info_score

    labelled = classes != UNLABELLED
    if not labelled.any():
        return float("nan")
    return float(normalized_mutual_info_score(classes[labelled], clusters.cpu().numpy()[labelled]))
