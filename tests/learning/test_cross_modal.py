"""Learning across modalities, against slow transcriptions of what is paired with what."""

from __future__ import annotations

from copy import deepcopy
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from contrastive_har.learning.losses import Negatives
from contrastive_har.learning.objectives import Objective, ObjectiveSettings, Step
from contrastive_har.learning.objectives.base import EachModality
from contrastive_har.learning.objectives.contrastive import Contrastive, ContrastiveSettings, NegativesSettings
from contrastive_har.learning.objectives.reconstruction import AutoencodingSettings
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, THREE, TWO, build, in_modalities, some
from tests.learning.test_losses import literal

STEP = Step(7, CPU.resolve())
ACROSS: dict[str, Any] = {"name": "contrastive", "across_modalities": True, "projection": [8, 5]}
AS_RECORDED: dict[str, Any] = {"views": [[]]}
TAU = 0.1


def contrastive(**settings: Any) -> ContrastiveSettings:
    return ContrastiveSettings.model_validate({**ACROSS, **AS_RECORDED, **settings})


def projections(objective: Objective, windows: Windows, batch: Tensor) -> list[np.ndarray]:
    """Each modality's channels through its encoder and its head, divided by their length."""
    assert isinstance(objective, Contrastive)
    projected = []
    for part, head, channels in zip(objective.parts, objective.heads, windows.layout.modalities.values(), strict=True):
        with torch.no_grad():
            rows = head(part(batch[:, :, channels].contiguous())).numpy()
        projected.append(np.stack([row / np.sqrt((row**2).sum()) for row in rows]))
    return projected


def singletons(count: int) -> np.ndarray:
    return np.tile(np.arange(count), (2, 1))


@pytest.mark.parametrize("names", [TWO, THREE])
@pytest.mark.parametrize("count", [2, 13])
@pytest.mark.parametrize(
    "negatives",
    [
        Negatives(within=False),
        Negatives(within=True),
        Negatives(within=False, concentration=1.0),
        Negatives(within=True, concentration=2.0, class_prior=1 / 3),
    ],
)
def test_the_loss_is_the_mean_over_all_pairs_of_modalities(
    windows: Windows, names: tuple[str, ...], count: int, negatives: Negatives
) -> None:
    several = in_modalities(windows, *names)
    weights = {
        "within_views": negatives.within,
        "concentration": negatives.concentration,
        "class_prior": None if negatives.class_prior else 0.0,
    }
    objective = build(contrastive(negatives=weights), several)
    batch = some(several, count)
    views = projections(objective, several, batch)
    expected = [literal(a, b, TAU, negatives, singletons(count)) for a, b in combinations(views, 2)]
    assert len(expected) == {2: 1, 3: 3}[len(views)]
    result = objective.loss(batch, STEP)
    assert result.loss.item() == pytest.approx(np.mean(expected), rel=1e-6)
    assert result.projections is not None
    np.testing.assert_allclose(result.projections, views, atol=1e-9)
    assert not result.projections.requires_grad
    result.loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in objective.parameters())


def test_several_views_are_paired_across_and_within_modalities(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    objective = build(contrastive(views=[[], []]), both)
    batch = some(both, 9)
    hand, foot = projections(objective, both, batch)
    pairs = combinations([hand, hand, foot, foot], 2)
    expected = [literal(a, b, TAU, Negatives(), singletons(9)) for a, b in pairs]
    assert len(expected) == 6
    assert objective.loss(batch, STEP).loss.item() == pytest.approx(np.mean(expected), rel=1e-6)


@pytest.mark.parametrize("concentration", [0.0, 1.0])
def test_clusters_of_the_projections_choose_the_negatives(windows: Windows, concentration: float) -> None:
    several = in_modalities(windows, *THREE)
    weights = {"within_views": False, "concentration": concentration}
    objective = build(contrastive(clustering={"name": "kmeans", "clusters": 4}, negatives=weights), several)
    batch = some(several, 25)
    result = objective.loss(batch, STEP)
    views = projections(objective, several, batch)
    assert isinstance(objective, Contrastive)
    assert objective.clustering is not None
    generator = torch.Generator().manual_seed(derive_seed(STEP.seed, "clusters"))
    clusters = objective.clustering(torch.from_numpy(np.stack(views)), 4, generator).numpy()
    np.testing.assert_array_equal(result.clusters, clusters)
    assert all(len(np.unique(of_view)) == 4 for of_view in clusters)
    negatives = Negatives(False, concentration)
    expected = [
        literal(views[a], views[b], TAU, negatives, clusters[[a, b]]) for a, b in combinations(range(len(views)), 2)
    ]
    assert result.loss.item() == pytest.approx(np.mean(expected), rel=1e-6)


def test_without_a_number_there_are_as_many_clusters_as_activities(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    result = build(contrastive(clustering={"name": "kmeans"}), both).loss(some(both, 30), STEP)
    assert result.clusters is not None
    assert result.clusters.shape == (2, 30)
    assert [len(of_view.unique()) for of_view in result.clusters] == [both.class_count] * 2


@pytest.mark.parametrize("steps", [0, 1, 4, 9])
def test_the_concentration_falls_in_equal_steps(steps: int) -> None:
    settings = NegativesSettings(concentration=2.0, class_prior=None, within_views=False, annealing_steps=steps)
    seen = []
    for epoch in range(400):
        progress = epoch / 400
        completed = sum(progress >= step / steps for step in range(1, steps)) if steps else 0
        at = settings.at(progress, 5)
        assert at.concentration == pytest.approx(2.0 - 2.0 * completed / max(steps, 1))
        assert (at.within, at.class_prior) == (False, 0.2)
        seen.append(at.concentration)
    assert len(set(seen)) == max(steps, 1)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] > 0


@pytest.mark.parametrize(("progress", "concentration"), [(0.0, 3.0), (0.3, 3.0), (0.4, 2.0), (0.99, 1.0)])
def test_the_loss_has_the_concentration_of_the_moment(windows: Windows, progress: float, concentration: float) -> None:
    both = in_modalities(windows, *TWO)
    objective = build(contrastive(negatives={"concentration": 3, "annealing_steps": 3}), both)
    batch = some(both, 10)
    a, b = projections(objective, both, batch)
    expected = literal(a, b, TAU, Negatives(True, concentration), singletons(10))
    step = Step(STEP.seed, STEP.compute, progress)
    assert objective.loss(batch, step).loss.item() == pytest.approx(expected, rel=1e-6)


def test_each_modality_has_its_own_views(windows: Windows) -> None:
    """Those of ``other``, if it is not listed."""
    several = in_modalities(windows, *THREE)
    views = {"foot": [[{"name": "noise", "deviation": 1}]], "other": [[]]}
    settings = contrastive(views=views)
    assert settings.modalities == ("foot",)
    assert [augment.name for augment in settings.augmentations_of("foot")] == ["noise"]
    assert settings.views_of("head") == settings.views_of("hand") == ((),)
    objective = build(settings, several)
    batch = some(several, 6)
    result = objective.loss(batch, STEP)
    assert result.projections is not None
    for name, seen, plain in zip(THREE, result.projections, objective.project(batch), strict=True):
        assert torch.allclose(seen, plain) == (name != "foot")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": {"hand": [[]]}}, "views needs an entry 'other', for modalities that are not listed"),
        ({"views": {"hand": [[]], "others": [[]]}}, "views needs an entry 'other'"),
        ({"views": {"hand": [], "other": [[]]}}, "views"),
        ({"views": []}, "views"),
        ({"views": [[]], "across_modalities": False}, "views: a single one has no partner; found 1"),
        (
            {"views": {"hand": [[]], "other": [[], []]}, "across_modalities": False},
            "views of modality 'hand': a single one has no partner; found 1",
        ),
        ({"name": "moco", "views": [[], [], []]}, "views: two are compared; found 3"),
        ({"name": "nnclr", "views": {"hand": [[]], "other": [[], []]}}, "views of modality 'hand': two are compared"),
        ({"name": "knowledge_mining", "views": [[], []]}, "views: one of each modality is compared; found 2"),
        ({"name": "knowledge_mining", "views": [[]], "guides": {**ACROSS, **AS_RECORDED, "across_modalities": False}},
         "guides.*views: a single one has no partner"),
        ({"negatives": {"concentration": -1}}, "concentration"),
        ({"negatives": {"concentration": float("inf")}}, "concentration"),
        ({"negatives": {"class_prior": 1}}, "class_prior"),
    ],
)  # fmt: skip
def test_views_and_negatives_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    known = ACROSS if settings.get("name", "contrastive") == "contrastive" else {}
    with pytest.raises(ValidationError, match=f"(?s){message}"):
        TypeAdapter(ObjectiveSettings).validate_python({**known, **settings})


def test_apart_the_loss_is_the_sum_of_single_objectives(windows: Windows) -> None:
    several = in_modalities(windows, *THREE)
    views = [[{"name": "noise"}], [{"name": "scaling"}]]
    settings = contrastive(across_modalities=False, views=views)
    objective = build(settings, several)
    assert isinstance(objective, EachModality)
    batch = some(several, 12)
    expected = []
    for name, one in zip(several.layout.modalities, objective.objectives, strict=True):
        alone = build(settings, several.only([name]))
        assert isinstance(alone, Contrastive)
        alone.load_state_dict(one.state_dict())
        expected.append(alone.loss(batch[..., several.layout.modalities[name]], STEP).loss.item())
    assert len(expected) == 3
    assert objective.loss(batch, STEP).loss.item() == pytest.approx(sum(expected))


def test_apart_and_as_recorded_each_loss_is_the_formula(windows: Windows) -> None:
    both = in_modalities(windows, *TWO)
    apart = build(contrastive(across_modalities=False, views=[[], []]), both)
    batch = some(both, 8)
    expected = [
        literal(view.numpy(), view.numpy(), TAU, Negatives(), singletons(8))
        for view in (one.detach() for one in apart.project(batch))
    ]
    assert apart.loss(batch, STEP).loss.item() == pytest.approx(sum(expected), rel=1e-6)


@pytest.mark.parametrize("across", [False, True])
def test_projections_of_each_modality(windows: Windows, across: bool) -> None:
    """Of an objective that trains them together, or of one for each."""
    both = in_modalities(windows, *TWO)
    settings = contrastive(across_modalities=across, views=[[], []])
    objective = build(settings, both)
    batch = some(both, 5)
    together = build(contrastive(views=[[], []]), both)
    if not across:
        assert isinstance(objective, EachModality)
        assert isinstance(together, Contrastive)
        for number, one in enumerate(objective.objectives):
            assert isinstance(one, Contrastive)
            together.parts[number].load_state_dict(one.parts[0].state_dict())
            together.heads[number].load_state_dict(one.heads[0].state_dict())
    expected = projections(together, both, batch)
    found = [one.detach() for one in objective.project(batch)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[0].shape == (5, 5)


def test_an_objective_without_projection_heads_projects_nothing(windows: Windows) -> None:
    autoencoder = BackboneSettings(encoder=ConvAutoencoderSettings(channels=(4, 4), latent=4))
    for shown in (windows, in_modalities(windows, *TWO)):
        assert build(AutoencodingSettings(), shown, autoencoder).project(some(shown, 3)) == []


def test_a_single_modality_with_one_view_is_refused(windows: Windows) -> None:
    (name,) = windows.layout.modalities
    problem = contrastive().problem(64, windows.layout, 3)
    assert problem is not None
    assert problem.startswith(f"pairs the views of several modalities, but the windows have only '{name}'; declare")
    assert contrastive(views=[[], []]).problem(64, windows.layout, 3) is None
    assert contrastive().problem(64, in_modalities(windows, *TWO).layout, 3) is None


def test_more_clusters_than_windows_are_refused_across_modalities_too(windows: Windows) -> None:
    layout = in_modalities(windows, *TWO).layout
    settings = contrastive(clustering={"name": "kmeans", "clusters": 9})
    assert settings.problem(9, layout, 3) is None
    assert "asks for 9 clusters, but the smallest batch of an epoch has 8 windows" in str(
        settings.problem(8, layout, 3)
    )


def test_exchanged_modalities_have_the_same_loss(windows: Windows) -> None:
    """Both directions count alike."""
    several = in_modalities(windows, "hand", "foot", "head").only(["hand", "head"])
    objective = build(contrastive(negatives={"within_views": False, "concentration": 1}), several)
    exchanged = deepcopy(objective)
    assert isinstance(exchanged, Contrastive)
    for modules in (exchanged.parts, exchanged.heads):
        modules[0], modules[1] = modules[1], modules[0]
    batch = some(several, 11)
    assert exchanged.loss(batch.flip(2), STEP).loss.item() == pytest.approx(objective.loss(batch, STEP).loss.item())
