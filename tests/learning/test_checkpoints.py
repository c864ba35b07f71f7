"""An interrupted training ends as an undisturbed one; broken or foreign states are never gone on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrastive_har.learning import pretraining
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives import Objective
from contrastive_har.learning.objectives.contrastive import Contrastive
from contrastive_har.learning.objectives.memory import NNCLR, MoCo
from contrastive_har.learning.pretraining import PretrainingBudget, pretrain
from contrastive_har.learning.pretraining.checkpoints import Checkpoint, Checkpoints
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.signals.windows import Windows

BUDGET = PretrainingBudget(epochs=5, batch_size=32, learning_rate=1e-3, dropout=True)
METHODS = [
    Contrastive.model_validate({"clustering": {"algorithm": "kmeans"}}),
    MoCo(queue=40, projection=(16, 8)),
    NNCLR(queue=40, projection=(16, 8)),
]


def train(windows: Windows, folder: Path | None, method: Objective, budget: PretrainingBudget = BUDGET) -> tuple:
    members = [np.arange(len(windows.table)), np.arange(1, len(windows.table))]
    compute = ComputeSettings(checkpoint_every=2)
    return pretrain(windows.signals, windows.classes(), members, method, TPNSettings(), budget, compute, 0, "x", folder)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.objective)
@pytest.mark.parametrize("stopped_in", [1, 3, 4, 8])
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Objective, stopped_in: int
) -> None:
    undisturbed, history = train(windows, None, method)
    epochs = 0
    original = pretraining.Trainer._epoch

    def die(self: object, *arguments: object) -> dict[str, float]:
        nonlocal epochs
        epochs += 1
        if epochs == stopped_in:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(pretraining.Trainer, "_epoch", die)
    with pytest.raises(KeyboardInterrupt):
        train(windows, tmp_path, method)
    resumed, resumed_history = train(windows, tmp_path, method)
    assert epochs - stopped_in == 10 - (stopped_in - 1) // 5 * 5 - (stopped_in - 1) % 5 // 2 * 2
    for mine, theirs in zip(resumed.encoders, undisturbed.encoders, strict=True):
        for name, weights in mine.weights.items():
            assert torch.equal(weights, theirs.weights[name]), name
    measured = ["repeat", "epoch", "loss", "learning_rate", "cluster_nmi"]
    np.testing.assert_array_equal(resumed_history[measured], history[measured])


def test_another_training_never_goes_on_from_foreign_states(windows: Windows, tmp_path: Path) -> None:
    train(windows, tmp_path, METHODS[0])
    other = BUDGET.model_copy(update={"learning_rate": 2e-3})
    fresh, _ = train(windows, None, METHODS[0], other)
    beside, _ = train(windows, tmp_path, METHODS[0], other)
    name = next(iter(fresh.encoders[0].weights))
    assert torch.equal(fresh.encoders[0].weights[name], beside.encoders[0].weights[name])


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path, "a" * 64, 1)
    for epoch in (1, 2, 3):
        checkpoints.save(Checkpoint(epoch, {"weights": torch.full((3,), float(epoch))}, {"steps": epoch}))
    return checkpoints


def test_the_last_two_are_kept(checkpoints: Checkpoints) -> None:
    assert len(list(checkpoints.folder.iterdir())) == 2
    newest = checkpoints.newest()
    assert newest is not None
    assert (newest.epoch, newest.facts, newest.tensors["weights"].tolist()) == (3, {"steps": 3}, [3.0] * 3)


@pytest.mark.parametrize("damage", ["truncated", "one byte", "pickle"])
def test_a_broken_one_is_passed_over(checkpoints: Checkpoints, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = max(checkpoints.folder.iterdir())
    content = bytearray(path.read_bytes())
    if damage == "one byte":
        content[-1] ^= 1
    path.write_bytes(content[:-5] if damage == "truncated" else content if damage == "one byte" else b"\x80\x04K\x01.")
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.epoch == 2
    assert str(path) in caplog.text
