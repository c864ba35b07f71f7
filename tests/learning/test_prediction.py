"""BYOL, SimSiam, MSF, TTL, SwAV and VICReg against slow, literal transcriptions of their formulas."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from contrastive_har.learning.objectives import Objective, ObjectiveSettings, Step, StepResult
from contrastive_har.learning.objectives.prediction import BYOL, MSF, TTL, MSFSettings, SimSiam, TTLSettings
from contrastive_har.learning.objectives.redundancy import VICReg
from contrastive_har.learning.objectives.swapping import SwAV, assign_equally, random_pieces
from contrastive_har.learning.objectives.two_views import rising
from contrastive_har.models.layers.dropout import switch_off_dropout
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.windows import Windows
from tests.learning.examples import CPU, build, some

ALONE = CPU.resolve()
VIEWS: dict[str, Any] = {"views": [[{"name": "negation"}], []], "projection": [7, 5]}
COUNT = 12


def made(windows: Windows, **settings: Any) -> Objective:
    """An objective in training, in double precision and without dropout, of which view a is negated."""
    objective = build(TypeAdapter(ObjectiveSettings).validate_python({**VIEWS, **settings}), windows).train()
    switch_off_dropout(objective)
    return objective


def through(layers: Any, x: np.ndarray) -> np.ndarray:
    """Linear layers, ReLU and normalisation over the batch, written out."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)  # their factors are one and their shifts zero at first
        else:
            assert isinstance(layer, nn.ReLU)
            x = np.maximum(x, 0)
    return x


def embedded(encoder: Any, batch: Tensor) -> np.ndarray:
    return np.asarray(encoder(batch).detach().numpy())


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum(1, keepdims=True)).clip(1e-12)


def both(objective: Any, batch: Tensor) -> list[np.ndarray]:
    """The projections of both views, not normalised."""
    return [through(objective.head, embedded(objective.encoder, view)) for view in (-batch, batch)]


def assert_shows(result: StepResult, *views: np.ndarray) -> None:
    """Check the projections for diagnostics: L2-normalised, by view."""
    assert result.projections is not None
    np.testing.assert_allclose(result.projections, np.stack([unit(view) for view in views]), rtol=1e-6, atol=1e-12)
    assert not result.projections.requires_grad


def test_byol_is_its_formula(windows: Windows) -> None:
    """The sum over both views of |q / |q| - z' / |z'||^2, with the projections of the copy."""
    objective, batch = made(windows, name="byol", prediction=[6], momentum=0.9), some(windows, COUNT)
    assert isinstance(objective, BYOL)
    with torch.no_grad():
        for parameter in objective.encoder.parameters():
            parameter.mul_(1.5)
    slow = deepcopy(objective.copy)
    progress = 0.3
    kept = 1 - 0.1 * (np.cos(np.pi * progress) + 1) / 2
    leaders = [*objective.encoder.parameters(), *objective.head.parameters()]
    for copied, leader in zip(slow.parameters(), leaders, strict=True):
        copied.data = kept * copied.data + (1 - kept) * leader.data
    online = both(objective, batch)
    target = [through(slow.copies[1], embedded(slow.copies[0], view)) for view in (-batch, batch)]
    expected = 0.0
    for mine, other in ((0, 1), (1, 0)):
        q, z = unit(through(objective.predictor, online[mine])), unit(target[other])
        expected += np.mean([np.sum((q[i] - z[i]) ** 2) for i in range(COUNT)])
    found = objective.loss(batch, Step(5, ALONE, progress))
    assert_shows(found, *target)
    loss = found.loss
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert all(parameter.grad is None for parameter in objective.copy.parameters())
    assert all(parameter.grad is not None for parameter in objective.encoder.parameters())


def test_the_momentum_rises_to_one() -> None:
    assert rising(0.9, 0) == pytest.approx(0.9)
    assert rising(0.9, 0.5) == pytest.approx(0.95)
    assert rising(0.9, 1) == pytest.approx(1)


def test_simsiam_is_its_formula(windows: Windows) -> None:
    """Half the sum of the negative cosines, through whose targets no gradient flows."""
    objective, batch = made(windows, name="simsiam", prediction=[3]), some(windows, COUNT)
    assert isinstance(objective, SimSiam)
    z = both(objective, batch)
    np.testing.assert_allclose(z[0].mean(0), 0, atol=1e-9)  # the last layer is normalised, too
    p = [unit(through(objective.predictor, projection)) for projection in z]
    expected = 0.0
    for i in range(COUNT):
        expected -= (p[0][i] @ unit(z[1])[i] + p[1][i] @ unit(z[0])[i]) / 2
    found = objective.loss(batch, Step(5, ALONE))
    assert found.loss.item() == pytest.approx(expected / COUNT, rel=1e-6)
    assert_shows(found, *z)
    assert not list(objective.head[-1].parameters()), "the last normalisation has no factors and shifts"


def test_without_the_stopped_gradient_simsiam_would_learn_otherwise(windows: Windows) -> None:
    objective, batch = made(windows, name="simsiam", prediction=[3]), some(windows, COUNT)
    assert isinstance(objective, SimSiam)
    loss = objective.loss(batch, Step(5, ALONE)).loss
    (found,) = torch.autograd.grad(loss, [next(objective.encoder.parameters())])
    projections = [objective.embed_and_project(view) for view in (-batch, batch)]
    z = [nn.functional.normalize(projection, dim=1) for projection in projections]
    p = [nn.functional.normalize(objective.predictor(projection), dim=1) for projection in projections]
    losses = {
        stopped: -sum((a * (b.detach() if stopped else b)).sum(1).mean() for a, b in zip(p, z[::-1], strict=True)) / 2
        for stopped in (True, False)
    }
    weights = [next(objective.encoder.parameters())]
    expected, other = (torch.autograd.grad(losses[stopped], weights, retain_graph=True)[0] for stopped in (True, False))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, other)


def test_msf_is_its_formula(windows: Windows) -> None:
    """The mean squared distance to the nearest neighbours of the target, which is the first of them."""
    objective, batch = made(windows, name="msf", prediction=[6], queue=30, nearest=3), some(windows, COUNT)
    assert isinstance(objective, MSF)
    queue = objective.earlier.rows.numpy().copy()
    online = both(objective, batch)
    slow = objective.copy
    target = [unit(through(slow.copies[1], embedded(slow.copies[0], view))) for view in (-batch, batch)]
    first = 0
    expected = 0.0
    for mine, other in ((0, 1), (1, 0)):
        for i in range(COUNT):
            queue[(first + i) % 30] = target[other][i]
        first += COUNT
        q = unit(through(objective.predictor, online[mine]))
        for i in range(COUNT):
            nearest = sorted(queue, key=lambda row, i=i, other=other: float(np.sum((row - target[other][i]) ** 2)))[:3]
            np.testing.assert_allclose(nearest[0], target[other][i])
            expected += np.mean([np.sum((q[i] - row) ** 2) for row in nearest]) / COUNT
    found = objective.loss(batch, Step(5, ALONE))
    assert found.loss.item() == pytest.approx(expected, rel=1e-6)
    assert_shows(found, *target)


def test_msf_follows_steadily(windows: Windows) -> None:
    objective = made(windows, name="msf", momentum=0.9, prediction=[6])
    assert isinstance(objective, MSF)
    assert objective.momentum(Step(0, ALONE, 0.0)) == objective.momentum(Step(0, ALONE, 0.9)) == 0.9


@pytest.mark.parametrize(("left_out", "negatives", "margin"), [(1, 9, 100.0), (0, 1, 1.0), (2, 4, 0.1)])
def test_ttl_is_its_formula(windows: Windows, left_out: int, negatives: int, margin: float) -> None:
    """The hinge of the margin, the pulled distance to the target and that of the negatives, ranked one by one."""
    triplets = {"left_out": left_out, "negatives": negatives, "margin": margin, "pull": 1.5}
    objective, batch = made(windows, name="ttl", prediction=[6], **triplets), some(windows, COUNT)
    assert isinstance(objective, TTL)
    online = both(objective, batch)
    slow = objective.copy
    target = [unit(through(slow.copies[1], embedded(slow.copies[0], view))) for view in (-batch, batch)]
    expected = 0.0
    for mine, other in ((0, 1), (1, 0)):
        q = unit(through(objective.predictor, online[mine]))
        for i in range(COUNT):
            distances = sorted(-2 * q[i] @ target[other][k] for k in range(COUNT) if k != i)
            negative = np.mean(distances[left_out : left_out + negatives])
            expected += max(0.0, margin + 1.5 * (-2 * q[i] @ target[other][i]) - negative) / COUNT
    found = objective.loss(batch, Step(5, ALONE))
    assert found.loss.item() == pytest.approx(expected, rel=1e-6)
    assert_shows(found, *target)


def test_too_few_windows_or_rows_are_refused(windows: Windows) -> None:
    layout = windows.layout
    assert TTLSettings().problem(10, layout, 3) == (
        "needs 10 other windows in a batch, but the smallest has 9; lower its negatives or left_out, or raise "
        "budget.batch_size"
    )
    assert TTLSettings().problem(11, layout, 3) is None
    assert "the 5 nearest in a queue of 4" in str(MSFSettings(queue=4).problem(10, layout, 3))
    assert MSFSettings(queue=5).problem(10, layout, 3) is None


def test_vicreg_is_its_formula(windows: Windows) -> None:
    factors = {"invariance": 3.0, "variance": 5.0, "covariance": 7.0}
    objective, batch = made(windows, name="vicreg", **factors), some(windows, COUNT)
    assert isinstance(objective, VICReg)
    a, b = both(objective, batch)
    width = a.shape[1]
    expected = 3 * np.mean([(a[i] - b[i]) @ (a[i] - b[i]) for i in range(COUNT)]) / width
    for z in (a, b):
        expected += 5 * np.mean([max(0, 1 - np.sqrt(np.var(z[:, j], ddof=1) + 1e-4)) for j in range(width)])
        mean = np.mean(z, axis=0)
        covariance = sum(np.outer(row - mean, row - mean) for row in z) / (COUNT - 1)
        expected += 7 * sum(covariance[i, j] ** 2 for i in range(width) for j in range(width) if i != j) / width
    found = objective.loss(batch, Step(5, ALONE))
    assert found.loss.item() == pytest.approx(expected, rel=1e-6)
    assert_shows(found, *(a, b))


def sinkhorn(scores: np.ndarray, iterations: int) -> np.ndarray:
    """Codes as the published code has them, (windows, prototypes)."""
    q = np.exp(scores).T
    q /= q.sum()
    prototypes, count = q.shape
    for _ in range(iterations):
        for k in range(prototypes):
            q[k] /= q[k].sum() * prototypes
        for i in range(count):
            q[:, i] /= q[:, i].sum() * count
    return (q * count).T


def test_assignments_are_those_of_sinkhorn_and_knopp() -> None:
    scores = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    np.testing.assert_allclose(assign_equally(scores, 3), sinkhorn(scores.numpy(), 3), rtol=1e-9)
    shares = assign_equally(scores + 500, 200)
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(shares.sum(0), 2, rtol=1e-6)


@pytest.mark.parametrize("crops", [0, 3])
def test_swav_is_its_formula(windows: Windows, crops: int) -> None:
    given = {"prototypes": 6, "temperature": 0.2, "smoothness": 0.3, "crops": crops, "crop_share": 0.25}
    objective, batch = made(windows, name="swav", **given), some(windows, COUNT)
    assert isinstance(objective, SwAV)
    draws = Step(5, ALONE).draws(batch)  # the negation draws nothing
    views = [-batch, batch]
    for crop in range(crops):
        first = (draws.uniform(batch).double() * (64 - 16 + 1)).long().tolist()
        views.append(torch.stack([views[crop % 2][i, start : start + 16] for i, start in enumerate(first)]))
    prototypes = unit(objective.prototypes.weight.detach().numpy())
    scores = [unit(through(objective.head, embedded(objective.encoder, view))) @ prototypes.T for view in views]
    total, pairs = 0.0, 0
    for whole in (0, 1):
        codes = sinkhorn(scores[whole] / 0.3, 3)
        for other in range(len(views)):
            if other == whole:
                continue
            pairs += 1
            for i in range(COUNT):
                softmax = np.exp(scores[other][i] / 0.2) / np.exp(scores[other][i] / 0.2).sum()
                total -= sum(codes[i, k] * np.log(softmax[k]) for k in range(6)) / COUNT
    found = objective.loss(batch, Step(5, ALONE, 0.5))
    assert found.loss.item() == pytest.approx(total / pairs, rel=1e-6)
    assert_shows(found, *(through(objective.head, embedded(objective.encoder, view)) for view in views[:2]))


def test_prototypes_are_frozen_at_first_and_three_per_activity(windows: Windows) -> None:
    objective, batch = made(windows, name="swav", frozen=0.2), some(windows, COUNT)
    assert isinstance(objective, SwAV)
    assert objective.prototypes.out_features == 3 * windows.class_count
    for progress, learns in ((0.19, False), (0.2, True)):
        objective.loss(batch, Step(5, ALONE, progress)).loss.backward()
        assert (objective.prototypes.weight.grad is not None) == learns


def test_pieces_are_anywhere_in_a_window(windows: Windows) -> None:
    batch = torch.arange(20.0).expand(400, 20)[..., None]
    pieces = random_pieces(batch, 5, Draws(torch.Generator().manual_seed(0)))
    assert pieces.shape == (400, 5, 1)
    assert set(pieces[:, 0, 0].tolist()) == set(range(16)), "every start, the first and the last included"
    torch.testing.assert_close(pieces.diff(dim=1), torch.ones(400, 4, 1))
