"""Supervised training includes the loss that an encoder has of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastive_har.learning.evaluation import EvaluationSettings
from contrastive_har.learning.evaluation.stages import StageTraining
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders.tarnet import TARNetSettings
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU

SEED, RATE = 7, 0.01
BUDGET = LabelBudget.model_validate("100 %")


def make(windows: Windows, **changes: Any) -> Backbone:
    shape = {"channels": (8,), "layers": 2, "heads": 2, "feedforward": 8, "dropout": 0, **changes}
    torch.manual_seed(0)
    return BackboneSettings(encoder=TARNetSettings.model_validate(shape)).build(windows.layout)


def task(windows: Windows, stages: int | str) -> Task:
    """One epoch of two steps."""
    settings = EvaluationSettings(title="S", trained_stages=stages, learning_rate=RATE, epochs=1, batch_size=16)
    train, nobody = np.arange(32), np.array([], np.int64)
    return Task(
        *(0, "s", settings, BUDGET, SEED, windows.classes(), windows.description.class_names),
        *(train, nobody, nobody, nobody, Neighbours.of(windows)),
    )


def run(windows: Windows, backbone: Backbone, stages: int | str) -> Outcome:
    activations = backbone.begin(torch.from_numpy(windows.signals), task(windows, stages).settings.trained_stages)
    kept = {name: value.detach() for name, value in activations.items()}
    return StageTraining(backbone, kept, task(windows, stages), RATE, CPU.resolve()).run().outcome


def by_hand(windows: Windows, backbone: Backbone) -> dict[str, Tensor]:
    one = task(windows, "all")
    encoder = backbone.by_modality["inertial"]
    entered = encoder.enter(backbone.normalise(torch.from_numpy(windows.signals)))
    targets = torch.from_numpy(windows.classes())
    with seeded(SEED):
        head = one.build_head(backbone.widths)
        optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=RATE)
        for index in torch.randperm(32).split(16):
            scores = head(encoder.run(entered[index], 0, encoder.depth))
            loss = torch.nn.functional.cross_entropy(scores, targets[index])
            optimiser.zero_grad()
            (loss + encoder.auxiliary_loss(entered[index])).backward()
            optimiser.step()
    return dict(backbone.state_dict())


def test_both_losses_are_minimised_together(windows: Windows) -> None:
    outcome = run(windows, make(windows), "all")
    expected = by_hand(windows, make(windows))
    start = make(windows).state_dict()
    for name, before in start.items():
        found = outcome.weights.get(f"backbone.{name}", before)
        # Attention does not depend on a bias of the keys, whose gradient is rounding errors only.
        kept = [*range(8), *range(16, 24)] if name.endswith("in_proj_bias") else slice(None)
        torch.testing.assert_close(found[kept], expected[name][kept], atol=1e-5, rtol=1e-4)
        if name not in ("mean", "deviation"):
            assert not torch.equal(found, before), name


@pytest.mark.parametrize("stages", [1, 2])
def test_without_the_first_stage_nothing_is_reconstructed(windows: Windows, stages: int) -> None:
    """It has the layer that reconstructs; the loss that training starts from is that of the labels alone."""
    outcome = run(windows, make(windows), stages)
    assert any(name.startswith("backbone.encoders.0.layers.1.") for name in outcome.weights)
    assert not any("restore" in name for name in outcome.weights)
    other = run(windows, make(windows, task_rate=0.1), stages)
    assert all(torch.equal(value, other.weights[name]) for name, value in outcome.weights.items())


def test_a_task_rate_of_one_leaves_nothing_to_the_reconstruction(windows: Windows) -> None:
    with_reconstruction = run(windows, make(windows), "all").weights
    without = run(windows, make(windows, task_rate=1), "all").weights
    assert any("restore" in name for name in with_reconstruction)
    assert not any("restore" in name for name in without)
