"""An interrupted training ends as an undisturbed one; broken or foreign states are never gone on from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.objectives.memory import MoCoSettings, NNCLRSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, checkpoints_of, pretrain
from contrastive_har.learning.pretraining.checkpoints import Checkpoint, Checkpoints
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.signals.windows import Windows

BUDGET = PretrainingBudget(epochs=5, batch_size=32, learning_rate=1e-3, dropout=True)
OBJECTIVES = [
    ContrastiveSettings.model_validate({"clustering": {"name": "kmeans"}}),
    MoCoSettings(queue=40, projection=(16, 8)),
    NNCLRSettings(queue=40, projection=(16, 8)),
]


def train(
    windows: Windows, folder: Path | None, objective: ObjectiveSettings, budget: PretrainingBudget = BUDGET
) -> tuple[EncoderSet, pd.DataFrame]:
    members = [np.arange(len(windows.table)), np.arange(1, len(windows.table))]
    plan = PretrainingPlan(name="x", objective=objective, budget=budget, repeats=2)
    return pretrain(windows, members, plan, ComputeSettings(checkpoint_every=2), folder)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
@pytest.mark.parametrize("stopped_in", [1, 3, 4, 8])
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: ObjectiveSettings, stopped_in: int
) -> None:
    undisturbed, history = train(windows, None, objective)
    epochs = 0
    original = Trainer._epoch

    def die(self: object, *arguments: object) -> dict[str, float]:
        nonlocal epochs
        epochs += 1
        if epochs == stopped_in:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", die)
    with pytest.raises(KeyboardInterrupt):
        train(windows, tmp_path, objective)
    resumed, resumed_history = train(windows, tmp_path, objective)
    assert epochs - stopped_in == 10 - (stopped_in - 1) // 5 * 5 - (stopped_in - 1) % 5 // 2 * 2
    assert len(resumed.weights) == 2
    for mine, theirs in zip(resumed.weights, undisturbed.weights, strict=True):
        assert mine.keys() == theirs.keys()
        for name, weights in mine.items():
            assert torch.equal(weights, theirs[name]), name
    measured = ["repeat", "epoch", "loss", "learning_rate", "cluster_nmi"]
    np.testing.assert_array_equal(resumed_history[measured], history[measured])


def test_another_training_never_goes_on_from_foreign_states(windows: Windows, tmp_path: Path) -> None:
    train(windows, tmp_path, OBJECTIVES[0])
    other = BUDGET.model_copy(update={"learning_rate": 2e-3})
    fresh, _ = train(windows, None, OBJECTIVES[0], other)
    beside, _ = train(windows, tmp_path, OBJECTIVES[0], other)
    for name, weights in fresh.weights[0].items():
        assert torch.equal(weights, beside.weights[0][name]), name


def test_a_training_with_other_activities_never_goes_on_from_foreign_states(windows: Windows, tmp_path: Path) -> None:
    """Without a number of its own, K-means takes that of the activities: of all else equal, only it differs."""
    three, four = (
        Windows.from_arrays(windows.signals, windows.classes(), names) for names in (("a", "b", "c"), tuple("abcd"))
    )
    first, _ = train(three, tmp_path, OBJECTIVES[0])
    fresh, _ = train(four, None, OBJECTIVES[0])
    assert first.fingerprint != fresh.fingerprint
    # Even among the states of its own.
    shutil.move(checkpoints_of(tmp_path, first.fingerprint), checkpoints_of(tmp_path, fresh.fingerprint))
    beside, _ = train(four, tmp_path, OBJECTIVES[0])
    assert beside.fingerprint == fresh.fingerprint
    for mine, theirs, foreign in zip(beside.weights, fresh.weights, first.weights, strict=True):
        assert all(torch.equal(weights, theirs[name]) for name, weights in mine.items())
        assert not all(torch.equal(weights, foreign[name]) for name, weights in mine.items())


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


def test_those_of_another_training_are_passed_over(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    """Files are named by the beginning of a fingerprint; all of it counts."""
    assert replace(checkpoints, training="a" * 63 + "b").newest() is None
    assert caplog.text.count("belongs to another training") == 2


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
