"""Views of neighbouring windows: which are drawn, and that losses compare them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from contrastive_har.learning.objectives import ObjectiveSettings
from contrastive_har.learning.objectives.base import BaseObjectiveSettings, EachModality, Step
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.objectives.knowledge_mining import KnowledgeMiningSettings
from contrastive_har.learning.objectives.prediction import BYOLSettings
from contrastive_har.learning.objectives.views import ViewsSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.batches import Batches
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.signals.neighbours import Neighbours
from contrastive_har.signals.windows import Windows
from tests.learning.examples import SMALL, TWO, build, in_modalities
from tests.learning.test_learning import ALONE, CPU

SAME_TWICE: dict[str, Any] = {"views": [[], []], "projection": [4]}


def test_neighbours_are_drawn_evenly_from_those_that_are_learned_from() -> None:
    rng = np.random.default_rng(0)
    recording, start = rng.integers(0, 3, 60), rng.integers(-50, 900, 60)
    members = np.sort(rng.permutation(60)[:40])
    neighbours = Neighbours(recording, start, 100)
    signals = torch.arange(60.0)[:, None, None]
    batches = Batches(signals, torch.from_numpy(members), lambda windows: windows, torch.device("cpu"), neighbours)
    index = torch.randperm(40)[:25].repeat(2000)
    drawn = batches.draw_neighbours(index, torch.Generator().manual_seed(1))
    taken = batches.take(drawn)[:, 0, 0].numpy().astype(int).reshape(2000, 25)
    for place, window in enumerate(members[index[:25].numpy()]):
        near = [
            other
            for other in members
            if recording[other] == recording[window] and abs(start[other] - start[window]) <= 100
        ]
        found, counts = np.unique(taken[:, place], return_counts=True)
        assert found.tolist() == near
        np.testing.assert_allclose(counts / 2000, 1 / len(near), atol=0.06)


def _steps(windows: Windows, monkeypatch: pytest.MonkeyPatch, neighbours: int) -> list[tuple[Any, ...]]:
    """Train on every other window; return the arguments of each step."""
    original, seen = Trainer.step, []

    def note(self: Trainer, *arguments: Any) -> object:
        seen.append(arguments)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "step", note)
    objective = ContrastiveSettings.model_validate({**SAME_TWICE, "neighbours": neighbours})
    budget = PretrainingBudget(epochs=2, batch_size=10, learning_rate=0.001)
    plan = PretrainingPlan(objective=objective, backbone=SMALL, budget=budget)
    pretrain(windows, [np.arange(0, len(windows.table), 2)], plan, CPU)
    return seen


def test_training_pairs_a_window_with_others_of_its_recording(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows are recognised by their normalised samples."""
    raw = windows.signals.reshape(-1, windows.signals.shape[2])
    members = np.arange(0, len(windows.table), 2)
    learned = windows.signals[members].reshape(-1, raw.shape[1]).astype(np.float64)
    normalised = (windows.signals[members] - learned.mean(0)) / learned.std(0)
    table = windows.table.iloc[members]
    distances: list[int] = []
    for batch, _, nearby in _steps(windows, monkeypatch, neighbours=4):
        for own, other in zip(batch.numpy(), nearby.numpy(), strict=True):
            first, second = (int(np.abs(normalised - one).sum((1, 2)).argmin()) for one in (own, other))
            a, b = table.iloc[first], table.iloc[second]
            assert (a["subject"], a["recording"]) == (b["subject"], b["recording"])
            distances.append(abs(a["start"] - b["start"]))
    assert 0 == min(distances) < 3 * windows.stride < max(distances) <= 4 * windows.stride


def test_without_neighbours_all_views_are_of_one_window(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(nearby is None for _, _, nearby in _steps(windows, monkeypatch, neighbours=0))


def test_losses_compare_the_window_with_its_neighbour(windows: Windows) -> None:
    """NT-Xent of plain views, written out; and a method with a base class of its own."""
    batch, nearby = torch.randn(2, 8, 64, 3)
    objective = build(ContrastiveSettings.model_validate(SAME_TWICE), windows).float()
    a, b = (
        torch.nn.functional.normalize(objective.heads[0](objective.encoders[0](one)), dim=1) for one in (batch, nearby)
    )  # type: ignore[index, operator]
    both = torch.cat([a, b])
    similar = torch.exp(both @ both.T / 0.1).fill_diagonal_(0)
    positive = torch.exp((a * b).sum(1) / 0.1).repeat(2)
    expected = -(positive / similar.sum(1)).log().mean()
    assert objective.loss(batch, Step(0, ALONE, nearby=nearby)).loss.item() == pytest.approx(expected.item(), rel=1e-4)
    other = build(BYOLSettings.model_validate(SAME_TWICE), windows).float()
    first, second = other.make_views(batch, Step(0, ALONE, nearby=nearby))  # type: ignore[operator]
    assert torch.equal(first, batch)
    assert torch.equal(second, nearby)
    losses = {other.loss(batch, Step(0, ALONE, nearby=near)).loss.item() for near in (None, batch, nearby)}
    assert len(losses) == 2, "the window itself is what is taken without neighbours"


def test_each_modality_has_the_neighbours_of_its_channels(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    objective = build(ContrastiveSettings.model_validate(SAME_TWICE), both).float()
    assert isinstance(objective, EachModality)
    batch, nearby = torch.randn(2, 8, 64, 3)
    expected = sum(
        one.loss(batch[..., part].contiguous(), Step(0, ALONE, nearby=nearby[..., part].contiguous())).loss.item()  # type: ignore[operator]
        for one, part in zip(objective.objectives, objective.channels, strict=True)
    )
    assert objective.loss(batch, Step(0, ALONE, nearby=nearby)).loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", get_args(get_args(ObjectiveSettings)[0]), ids=lambda kind: kind.__name__)
def test_no_objective_takes_neighbours_unless_it_is_told(kind: type[BaseObjectiveSettings]) -> None:
    """Nor has one a setting of its own with that name."""
    if "neighbours" in kind.model_fields:
        assert repr(kind.model_fields["neighbours"]) == repr(ViewsSettings.model_fields["neighbours"])


def test_neighbours_that_nothing_would_use_are_refused() -> None:
    with pytest.raises(ValueError, match="neighbours is 2, but there is a single view; set it to 0"):
        ContrastiveSettings.model_validate({"across_modalities": True, "views": [[]], "neighbours": 2})
    with pytest.raises(ValueError, match="guides: both views are of the same window; set its neighbours to 0"):
        KnowledgeMiningSettings.model_validate({"views": [[]], "guides": {"neighbours": 2}})
