"""How long and how an encoder is pre-trained: batches, and learning rates that fall when the loss stalls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.signals.windows import Windows
from tests.learning.examples import SMALL, build
from tests.learning.test_learning import batches_of


def budget(**settings: object) -> PretrainingBudget:
    return PretrainingBudget.model_validate({"epochs": 3, "batch_size": 10, "learning_rate": 0.1, **settings})


def torchs_rates(losses: np.ndarray, patience: int) -> list[float]:
    """The learning rate of each epoch under PyTorch's scheduler."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=patience, threshold=1e-4, threshold_mode="rel", eps=0
    )
    rates = [optimiser.param_groups[0]["lr"]]
    for loss in losses:
        optimiser.step()
        scheduler.step(loss)
        rates.append(optimiser.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("seed", range(8))
def test_the_rate_is_that_of_pytorchs_scheduler(patience: int, seed: int) -> None:
    """Of losses that fall, stall, and fall by about as little as does not count."""
    rng = np.random.default_rng(seed)
    factors = np.where(rng.random(60) < 0.5, 1 - 1e-4 * rng.uniform(0.5, 1.5, 60), rng.uniform(0.95, 1.06, 60))
    losses = 3 * np.cumprod(factors)
    expected = torchs_rates(losses, patience)
    settings = budget(patience=patience)
    assert [settings.rate_after(losses[:epoch].tolist()) for epoch in range(61)] == pytest.approx(expected)
    assert len(set(expected)) > 2, "or the losses never stall"


def test_without_patience_the_rate_is_constant() -> None:
    assert {budget().rate_after([1.0] * epochs) for epochs in range(50)} == {0.1}


@pytest.mark.parametrize(("field", "value"), [("patience", 0), ("batch_size", 1), ("epochs", 0), ("learning_rate", 0)])
def test_impossible_budgets_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=field):
        budget(**{field: value})


def test_a_concentration_that_falls_needs_the_last_epoch() -> None:
    """The loss falls along with it: its least says nothing about the encoder."""
    budget = PretrainingBudget(epochs=4, batch_size=8, learning_rate=0.1)
    falling = ContrastiveSettings.model_validate({"negatives": {"concentration": 1, "annealing_steps": 4}})
    constant = ContrastiveSettings.model_validate({"negatives": {"concentration": 1}})
    assert "keep: last and patience: null" in str(budget.problem(falling))
    assert budget.model_copy(update={"keep": "last"}).problem(falling) is None
    assert budget.problem(constant) is None


@pytest.mark.parametrize("last_batch", [False, True])
@pytest.mark.parametrize(("processes", "fewest"), [(1, 2), (2, 2), (5, 2), (1, 6), (2, 7), (5, 6)])
def test_the_smallest_batch_is_the_least_of_those_used(last_batch: bool, processes: int, fewest: int) -> None:
    settings = budget(last_batch=last_batch)
    for windows in range(max(2, processes), 64):
        batches = [len(batch) for batch in torch.arange(windows).split(10)]
        used = [batch for batch in batches if settings.uses(batch, windows, processes, fewest)]
        literal = [
            batch
            for batch in batches
            if batch == 10
            or len(batches) == 1
            or (last_batch and batch - batch % processes >= fewest and batch >= processes)
        ]
        assert used == literal
        assert used, "an epoch without a batch learns nothing"
        assert settings.smallest_batch(windows, processes, fewest) == min(used) // processes * processes


def test_a_last_batch_that_cannot_be_clustered_is_left_out(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 25 windows, the last five are fewer than the clusters, if there are six of them."""
    original, sizes = Trainer.step, []

    def note(self: Trainer, batch: torch.Tensor, *others: Any) -> object:
        sizes.append(len(batch))
        return original(self, batch, *others)

    monkeypatch.setattr(Trainer, "step", note)
    for clusters, expected in ((5, [10, 10, 5]), (6, [10, 10])):
        sizes.clear()
        objective = {"projection": [4], "clustering": {"name": "kmeans", "clusters": clusters}}
        plan = PretrainingPlan(
            objective=ContrastiveSettings.model_validate(objective), backbone=SMALL, budget=budget(epochs=1)
        )
        pretrain(windows, [np.arange(25)], plan, ComputeSettings(device="cpu"))
        assert sizes == expected


@pytest.mark.parametrize(("last_batch", "expected"), [(True, [10, 10, 5]), (False, [10, 10])])
def test_a_last_smaller_batch_is_a_setting(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, last_batch: bool, expected: list[int]
) -> None:
    original, sizes = Trainer.step, []

    def note(self: Trainer, batch: torch.Tensor, *others: Any) -> object:
        sizes.append(len(batch))
        return original(self, batch, *others)

    monkeypatch.setattr(Trainer, "step", note)
    settings = budget(epochs=1, learning_rate=1e-3, last_batch=last_batch)
    plan = PretrainingPlan(objective=ContrastiveSettings(projection=(4,)), backbone=SMALL, budget=settings)
    _, history = pretrain(windows, [np.arange(25)], plan, ComputeSettings(device="cpu"))
    assert sizes == expected
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("last_batch", [False, True])
def test_progress_is_the_share_of_the_windows_that_were_seen(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, last_batch: bool
) -> None:
    original, seen = Trainer.step, []

    def note(self: Trainer, batch: torch.Tensor, progress: float, *others: Any) -> object:
        seen.append(progress)
        return original(self, batch, progress, *others)

    monkeypatch.setattr(Trainer, "step", note)
    settings = budget(epochs=2, learning_rate=1e-3, last_batch=last_batch)
    plan = PretrainingPlan(objective=ContrastiveSettings(projection=(4,)), backbone=SMALL, budget=settings)
    pretrain(windows, [np.arange(25)], plan, ComputeSettings(device="cpu"))
    of_epoch = [0, 10 / 25, *([20 / 25] if last_batch else [])]
    assert seen == pytest.approx([(epoch + share) / 2 for epoch in range(2) for share in of_epoch])


def test_the_optimiser_takes_the_rate_of_the_epoch(windows: Windows) -> None:
    """With a loss that never falls, as the objective has nothing to compare."""
    settings = budget(epochs=7, learning_rate=0.1, patience=1, batch_size=30)
    same = {"clustering": {"name": "kmeans", "clusters": 1}}
    objective = build(ContrastiveSettings.model_validate({"projection": [4], **same}), windows).float()
    trainer = Trainer(objective, settings, ComputeSettings(device="cpu").resolve(), seed=0)
    batch = torch.from_numpy(windows.signals[:60])
    rows = trainer.run(batches_of(batch), windows.classes()[:60])
    assert {row["loss"] for row in rows} == {0}
    assert [row["learning_rate"] for row in rows] == torchs_rates(np.zeros(7), 1)[:7]
    assert trainer.optimiser.param_groups[0]["lr"] == rows[-1]["learning_rate"] < 0.1
