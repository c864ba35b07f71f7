"""Knowledge mining against its formula: guides that are trained first, then followed and left alone."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.losses import Negatives
from contrastive_har.learning.objectives import Step
from contrastive_har.learning.objectives.contrastive import Contrastive
from contrastive_har.learning.objectives.knowledge_mining import KnowledgeMining, KnowledgeMiningSettings, mining_loss
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.models.encoders.conv_bins import ConvBinsSettings
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, SMALL, THREE, TWO, build, in_modalities, some
from tests.learning.test_losses import literal

COMPUTE = CPU.resolve()
GUIDES: dict[str, Any] = {"views": [[], []], "projection": [6, 5], "temperature": 0.2}
NORMALISING = BackboneSettings(encoder=ConvBinsSettings(channels=(6, 6), kernels=(5, 3), batch_norm=True, dropout=0.1))


def mining(**settings: Any) -> KnowledgeMiningSettings:
    given = {"views": [[]], "projection": [8, 5], "guides": GUIDES, "within_temperature": 0.7, **settings}
    return KnowledgeMiningSettings.model_validate(given)


def made(windows: Windows, backbone: BackboneSettings = SMALL, **settings: Any) -> KnowledgeMining:
    objective = build(mining(**settings), windows, backbone)
    assert isinstance(objective, KnowledgeMining)
    return objective


def literal_mining_loss(
    p: np.ndarray, q: np.ndarray, own: np.ndarray, other: np.ndarray, temperatures: tuple[float, float]
) -> float:
    """The formula, one anchor and one window after the other."""
    losses = []
    for i in range(len(p)):
        positives = np.exp(p[i] @ q[i] / temperatures[0]) + np.exp(p[i] @ q[other[i]] / temperatures[0])
        positives += np.exp(p[i] @ p[own[i]] / temperatures[1])
        everything = sum(np.exp(p[i] @ q[j] / temperatures[0]) for j in range(len(p)))
        everything += sum(np.exp(p[i] @ p[j] / temperatures[1]) for j in range(len(p)) if j != i)
        losses.append(-np.log(positives / everything))
    return float(np.mean(losses))


def nearest_others(features: np.ndarray) -> np.ndarray:
    """The other window of greatest cosine similarity to each, by comparing all."""
    found = []
    for i, one in enumerate(features):
        cosines = [
            -np.inf if j == i else one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            for j, other in enumerate(features)
        ]
        found.append(int(np.argmax(cosines)))
    return np.array(found)


@pytest.mark.parametrize("count", [2, 3, 12])
@pytest.mark.parametrize("temperatures", [(0.1, 1.0), (0.5, 0.1)])
def test_the_mining_loss_is_its_formula(count: int, temperatures: tuple[float, float]) -> None:
    generator = torch.Generator().manual_seed(count)
    p, q = functional.normalize(torch.randn(2, count, 5, generator=generator, dtype=torch.float64), dim=2)
    own, other = (nearest_others(one.numpy()) for one in torch.randn(2, count, 4, generator=generator))
    loss = mining_loss(p, q, (torch.from_numpy(own), torch.from_numpy(other)), temperatures)
    expected = literal_mining_loss(p.numpy(), q.numpy(), own, other, temperatures)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_mined_windows_are_pulled_nearer() -> None:
    """The gradient makes an anchor more similar to its mined window than to another that is as similar now."""
    turn = torch.tensor(0.8)
    anchor = torch.tensor([1.0, 0, 0, 0])
    beside = [turn.cos() * anchor + turn.sin() * axis for axis in torch.eye(4)[1:3]]
    windows = torch.stack([anchor, *beside, torch.eye(4)[3]]).requires_grad_()
    mined = torch.tensor([1, 0, 0, 0])
    (gradient,) = torch.autograd.grad(mining_loss(windows, torch.eye(4), (mined, mined), (0.5, 0.5)), windows)
    direction = -gradient[0]
    assert direction @ beside[0].detach() > direction @ beside[1].detach()


@pytest.mark.parametrize("names", [TWO, THREE])
@pytest.mark.parametrize("count", [2, 11])
def test_after_the_warm_up_it_is_the_mean_over_ordered_pairs(
    windows: Windows, names: tuple[str, ...], count: int
) -> None:
    several = in_modalities(windows, *names)
    objective = made(several)
    with torch.no_grad():
        for parameter in objective.guides.parameters():  # they begin as copies of the encoders
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    batch = some(several, count)
    views, mined = [], []
    for part, head, guide, channels in zip(
        objective.parts, objective.heads, objective.guides, several.layout.modalities.values(), strict=True
    ):
        of_modality = batch[:, :, channels].contiguous()
        with torch.no_grad():
            views.append(functional.normalize(head(part(of_modality)), dim=1).numpy())
            mined.append(nearest_others(guide.parts[0](of_modality).numpy()))  # type: ignore[operator, union-attr, index]
    pairs = list(permutations(range(len(views)), 2))
    expected = [literal_mining_loss(views[a], views[b], mined[a], mined[b], (0.1, 0.7)) for a, b in pairs]
    assert len(pairs) == {2: 2, 3: 6}[len(views)]
    result = objective.loss(batch, Step(1, COMPUTE, 0.5))
    assert result.loss.item() == pytest.approx(np.mean(expected), rel=1e-6)
    np.testing.assert_allclose(torch.stack(objective.project(batch)).detach(), views, atol=1e-9)
    result.loss.backward()
    trained = [*objective.parts.parameters(), *objective.heads.parameters()]
    # Of two windows, the other one is always mined: nothing is left to push away.
    assert all(parameter.grad is not None and parameter.grad.any() == (count > 2) for parameter in trained)
    assert all(parameter.grad is None for parameter in objective.guides.parameters())


def test_the_warm_up_is_simclr_of_each_modality(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    objective = made(both)
    batch = some(both, 9)
    expected = []
    for guide, channels in zip(objective.guides, both.layout.modalities.values(), strict=True):
        view = guide.project(batch[:, :, channels].contiguous())[0].detach().numpy()  # type: ignore[operator, union-attr]
        expected.append(literal(view, view, 0.2, Negatives(), np.tile(np.arange(9), (2, 1))))
    for progress in (0.0, 0.49):
        assert objective.loss(batch, Step(1, COMPUTE, progress)).loss.item() == pytest.approx(sum(expected), rel=1e-6)


def state(modules: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in modules.state_dict().items()}


def changed(before: dict[str, Tensor], modules: torch.nn.Module) -> set[bool]:
    return {not torch.equal(value, before[name]) for name, value in modules.state_dict().items()}


@pytest.mark.parametrize("batch_norm", [False, True])
def test_guides_are_trained_first_and_then_left_alone(windows: Windows, batch_norm: bool) -> None:
    """To the bit, with their running statistics."""
    both = in_modalities(windows, *TWO)
    objective = made(both, NORMALISING, warm_up=0.4, guides={**GUIDES, "projection_batch_norm": batch_norm}).float()
    budget = PretrainingBudget(epochs=5, batch_size=20, learning_rate=1e-3, dropout=True)
    trainer = Trainer(objective, budget, COMPUTE, seed=3)
    batches = some(both, 200).float().split(20)
    fresh = {name: state(modules) for name, modules in objective.named_children()}
    for number, batch in enumerate(batches[:4]):
        trainer.step(batch, number / 10)
    assert changed(fresh["parts"], objective.parts) == changed(fresh["heads"], objective.heads) == {False}
    assert True in changed(fresh["guides"], objective.guides)
    warm = state(objective.guides)
    for number, batch in enumerate(batches[4:], start=4):
        trainer.step(batch, number / 10)
    assert changed(warm, objective.guides) == {False}
    for name in ("parts", "heads"):
        trained = dict(getattr(objective, name).named_parameters())
        assert all(not torch.equal(value, fresh[name][key]) for key, value in trained.items())


def test_the_guides_choice_matters_and_not_what_they_project(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    objective = made(both)
    batch = some(both, 12)
    before = objective.loss(batch, Step(1, COMPUTE, 0.9)).loss.item()
    with torch.no_grad():
        for guide in objective.guides:
            for parameter in guide.heads.parameters():  # type: ignore[union-attr]
                parameter.normal_()
    assert objective.loss(batch, Step(1, COMPUTE, 0.9)).loss.item() == before
    with torch.no_grad():
        for parameter in objective.guides.parameters():
            parameter.normal_()
    assert objective.loss(batch, Step(1, COMPUTE, 0.9)).loss.item() != before


def test_guides_have_views_of_their_own(windows: Windows) -> None:
    layout = in_modalities(windows, *TWO).layout
    views = {"hand": [[{"name": "noise"}]], "other": [[]]}
    guides = {**GUIDES, "views": {"foot": [[{"name": "rotation"}], []], "other": [[], []]}}
    settings = mining(views=views, guides=guides)
    assert set(settings.modalities) == {"hand", "foot"}
    assert [augment.name for augment in settings.augmentations_of("hand")] == ["noise"]
    assert [augment.name for augment in settings.augmentations_of("foot")] == ["rotation"]
    assert [len(settings.views_of(name)) for name in ("hand", "foot", "elsewhere")] == [3, 3, 3]
    assert settings.view_of("foot") == ()
    assert "rotation needs sensors of three axes, but sensor 'foot' has 2" in str(settings.problem(64, layout, 3))


def test_what_guides_cannot_do_is_refused(windows: Windows) -> None:
    clustered = {**GUIDES, "clustering": {"name": "kmeans", "clusters": 40}}
    problem = mining(guides=clustered).problem(30, in_modalities(windows, *TWO).layout, 3)
    assert problem is not None
    assert problem.startswith("has guides and asks for 40 clusters, but the smallest batch of an epoch has 30 windows")


def test_settings_of_guides_run_over_the_warm_up(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is annealed is so over the guides' training, which is all that they have."""
    several = in_modalities(windows, *TWO)
    objective = made(several, warm_up=0.5)
    seen: list[float] = []
    loss = Contrastive.loss
    monkeypatch.setattr(
        Contrastive, "loss", lambda guide, part, step: (seen.append(step.progress), loss(guide, part, step))[1]
    )
    objective.loss(some(several, 8), Step(1, COMPUTE, 0.25))
    assert seen == [0.5, 0.5]


def test_a_single_modality_is_refused(windows: Windows) -> None:
    problem = mining().problem(64, windows.layout, 3)
    assert problem is not None
    assert problem.startswith("needs several modalities, but the windows have only 'inertial'; declare more")
    assert mining().problem(64, in_modalities(windows, *TWO).layout, 3) is None
    with pytest.raises(TypeError, match="knowledge mining needs several modalities"):
        mining().build(SMALL.build(windows.layout).encoders[0], windows.layout, 3)  # type: ignore[arg-type]
