"""FixMatch: against a literal transcription, and what it may learn from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from contrastive_har.learning.evaluation import EvaluationSettings
from contrastive_har.learning.evaluation.consistency import Consistency
from contrastive_har.learning.evaluation.stages import StageTraining
from contrastive_har.learning.evaluation.tasks import Outcome, Task
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU

VIEWS = {"weak": [{"name": "scaling"}], "strong": [{"name": "negation"}]}
SURE = Consistency.model_validate({**VIEWS, "threshold": 0.0, "windows": 3})
NOBODY = np.array([], np.int64)


def draws() -> Draws:
    return Draws(torch.Generator().manual_seed(0))


def test_the_loss_is_that_of_the_sure_windows_strong_views(windows: Windows) -> None:
    batch = torch.randn(20, 64, 3, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))

    def recognise(some: torch.Tensor) -> torch.Tensor:
        return some.mean(1) * 8 @ weights

    settings = Consistency.model_validate({**VIEWS, "threshold": 0.7, "weight": 2.0})
    weak = settings.weak[0](batch, draws(), windows.layout)
    total, sure = 0.0, 0
    for before, after in zip(recognise(weak).tolist(), recognise(-batch).tolist(), strict=True):
        chances = [math.exp(score) / sum(map(math.exp, before)) for score in before]
        if max(chances) >= 0.7:
            sure += 1
            wanted = after[chances.index(max(chances))]
            total += math.log(sum(map(math.exp, after))) - wanted
    assert 3 < sure < 17
    loss = settings.loss(recognise, batch, draws(), windows.layout)
    assert float(loss) == pytest.approx(2.0 * total / 20, rel=1e-5)


def test_the_weak_view_has_no_gradient(windows: Windows) -> None:
    batch = torch.randn(8, 64, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    still = SURE.model_copy(update={"weak": (), "strong": ()})
    gradient = torch.autograd.grad(still.loss(lambda some: some.mean(1), batch, draws(), windows.layout), batch)[0]
    # Of cross-entropy with a fixed class: softmax less one, over the batch and the time that is averaged.
    chances = batch.detach().mean(1).softmax(1)
    expected = (chances - torch.nn.functional.one_hot(chances.argmax(1), 3)) / 8 / 64
    torch.testing.assert_close(gradient, expected[:, None].expand(-1, 64, -1))


def run(windows: Windows, consistency: Consistency | None) -> Outcome:
    settings = EvaluationSettings(
        title="S", trained_stages="all", learning_rate=0.01, steps=3, batch_size=8, consistency=consistency
    )
    task = Task(
        *(0, "s", settings, LabelBudget.model_validate("100 %"), 7, windows.classes(), windows.description.class_names),
        *(np.arange(16), NOBODY, np.arange(200, 220), np.arange(50, 90), Neighbours.of(windows)),
    )
    torch.manual_seed(0)
    backbone = BackboneSettings(encoder=TPNSettings(channels=(8, 8), kernels=(8, 4))).build(windows.layout)
    backbone.set_normalisation(torch.full((3,), 0.5), torch.full((3,), 2.0))
    activations = {name: value.detach() for name, value in backbone.begin(signals_of(windows), "all").items()}
    return StageTraining(backbone, activations, task, 0.01, CPU.resolve(), windows).run().outcome


def signals_of(windows: Windows) -> torch.Tensor:
    return torch.from_numpy(windows.signals)


def changed(windows: Windows, members: slice) -> Windows:
    signals = windows.signals.copy()
    signals[members] += 1
    return replace(windows, signals=signals)


def weights(outcome: Outcome) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in outcome.weights.values()])


def test_only_unlabelled_windows_of_pretraining_are_learned_from(windows: Windows) -> None:
    learned = weights(run(windows, SURE))
    assert torch.equal(learned, weights(run(windows, SURE)))
    assert torch.equal(learned, weights(run(changed(windows, slice(90, None)), SURE))), (
        "neither test windows nor others"
    )
    assert not torch.equal(learned, weights(run(changed(windows, slice(50, 90)), SURE)))


def test_nothing_sure_teaches_nothing(windows: Windows) -> None:
    never = SURE.model_copy(update={"threshold": 0.9999, "weak": (), "strong": ()})
    # The draws of unlabelled windows change the order of later batches: the first step decides.
    assert torch.equal(weights(run(windows, never)), weights(run(windows, never.model_copy(update={"weight": 5.0}))))


def test_views_are_recognised_as_the_windows_that_they_show(windows: Windows) -> None:
    backbone = BackboneSettings(encoder=TPNSettings()).build(windows.layout)
    backbone.set_normalisation(torch.tensor([0.5, 1, 2]), torch.tensor([2.0, 3, 4]))
    begun = backbone.begin(signals_of(windows), "all")
    again = backbone.begin_normalised(backbone.normalise(signals_of(windows)), "all")
    for name, values in begun.items():
        torch.testing.assert_close(again[name], values)


def test_it_needs_all_stages() -> None:
    with pytest.raises(ValidationError, match="set trained_stages: all, or consistency: null"):
        EvaluationSettings(title="S", trained_stages=1, learning_rate=0.1, epochs=1, batch_size=8, consistency=SURE)
