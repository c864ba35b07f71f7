"""Trainings across modalities: resumed as undisturbed, and blind to labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, plans, pretrain
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, SMALL, TWO, in_modalities, suited

ACROSS = {"name": "contrastive", "across_modalities": True, "projection": [8, 8], "views": [[{"name": "noise"}]]}
HARD = {"within_views": False, "concentration": 2, "annealing_steps": 3}
OBJECTIVES: dict[str, ObjectiveSettings] = {
    name: TypeAdapter(ObjectiveSettings).validate_python(settings)
    for name, settings in {
        "hard negatives, annealed": {**ACROSS, "negatives": HARD},
        "clusters": {**ACROSS, "clustering": {"name": "kmeans"}},
        "knowledge mining": {
            "name": "knowledge_mining",
            "projection": [8, 8],
            "views": [[{"name": "noise"}]],
            "guides": {"projection": [8, 8]},
        },
    }.items()
}
BUDGET = PretrainingBudget(epochs=6, batch_size=64, learning_rate=0.01, patience=1, last_batch=False, dropout=True)


def train(
    windows: Windows,
    objective: ObjectiveSettings,
    folder: Path | None = None,
    budget: PretrainingBudget = BUDGET,
    backbone: BackboneSettings = SMALL,
) -> tuple[EncoderSet, pd.DataFrame]:
    plan = PretrainingPlan(objective=objective, budget=suited(budget, objective), backbone=backbone, seed=3)
    compute = CPU.model_copy(update={"checkpoint_every": 1})
    return pretrain(windows, [np.arange(150)], plan, compute, folder)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("stopped_in", [2, 5])
def test_a_resumed_training_ends_as_an_undisturbed_one(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stopped_in: int
) -> None:
    """In the warm-up and after it; the learning rate goes on from the losses before."""
    monkeypatch.setattr(plans, "_PROGRESS", 0.5)  # less than half the loss before: none makes so much progress
    both = in_modalities(windows, *TWO)
    undisturbed, history = train(both, OBJECTIVES[name])
    original, begun = Trainer._epoch, []

    def die(self: Trainer, epoch: int, *arguments: object) -> dict[str, float]:
        begun.append(epoch)
        if len(begun) == stopped_in:
            raise KeyboardInterrupt
        return original(self, epoch, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "_epoch", die)
    with pytest.raises(KeyboardInterrupt):
        train(both, OBJECTIVES[name], tmp_path)
    resumed, resumed_history = train(both, OBJECTIVES[name], tmp_path)
    assert begun == [*range(1, stopped_in + 1), *range(stopped_in, BUDGET.epochs + 1)]
    for key, weights in resumed.weights[0].items():
        assert torch.equal(weights, undisturbed.weights[0][key]), key
    measured = ["loss", "learning_rate", "cluster_nmi", "alignment", "uniformity", "recall_at_1", "recall_at_5"]
    np.testing.assert_array_equal(resumed_history[measured], history[measured])
    falls = history["learning_rate"].nunique() > 1
    assert falls == OBJECTIVES[name].loss_compares, "or the test shows nothing"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_labels_do_not_influence_learning(windows: Windows, name: str) -> None:
    both = in_modalities(windows, *TWO)
    shuffled = np.random.default_rng(0).permutation(both.table["activity"].to_numpy())
    budget = BUDGET.model_copy(update={"epochs": 2})
    first, history = train(both, OBJECTIVES[name], budget=budget)
    second, other = train(replace(both, table=both.table.assign(activity=shuffled)), OBJECTIVES[name], budget=budget)
    for key, weights in first.weights[0].items():
        assert torch.equal(weights, second.weights[0][key]), key
    without_labels = ["loss", "alignment", "uniformity", "recall_at_1", "recall_at_5"]
    np.testing.assert_array_equal(history[without_labels], other[without_labels])


def test_only_the_chosen_modalities_are_trained(windows: Windows) -> None:
    """What is recorded of the others changes nothing."""
    several = in_modalities(windows, "hand", "foot", "head")
    chosen = BackboneSettings(encoder=SMALL.encoder, modalities=("hand", "head"))
    budget = BUDGET.model_copy(update={"epochs": 2})
    settings = OBJECTIVES["hard negatives, annealed"]
    other = replace(several, signals=several.signals * np.array([1, -7, 1], np.float32))
    first, history = train(several, settings, budget=budget, backbone=chosen)
    second, _ = train(other, settings, budget=budget, backbone=chosen)
    assert list(first.layout.modalities) == ["hand", "head"]
    assert first.weights[0].keys() == second.weights[0].keys()
    assert all(torch.equal(value, second.weights[0][key]) for key, value in first.weights[0].items())
    alone, _ = train(several.only(["hand", "head"]), settings, budget=budget)
    assert all(torch.equal(value, alone.weights[0][key]) for key, value in first.weights[0].items())
    assert history["recall_at_1"].notna().any()


def test_all_of_each_encoder_is_trained_and_the_loss_falls(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    budget = BUDGET.model_copy(update={"learning_rate": 1e-3, "epochs": 4})
    for name in ("hard negatives, annealed", "clusters"):
        settings = OBJECTIVES[name]
        fresh = train(both, TypeAdapter(ObjectiveSettings).validate_python({"name": "untrained"}))[0]
        trained, history = train(both, settings, budget=budget)
        parameters = {key for key in trained.weights[0] if key.startswith("encoders.")}
        assert {key.split(".")[1] for key in parameters} == {"0", "1"}
        for key in parameters:
            assert not torch.equal(trained.weights[0][key], fresh.weights[0][key]), key
        assert history["loss"].iloc[-1] < history["loss"].iloc[0]
