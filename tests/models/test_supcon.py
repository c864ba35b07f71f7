"""Supervised contrast, one anchor after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from contrastive_har.models.heads.supcon import SupCon, SupConSettings, supervised_contrast
from tests.models.test_heads import NAMES, examples


def literal(z: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    """Eq. 2, of anchors that have a positive."""
    losses = []
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and targets[p] == targets[i]]
        everything = sum(np.exp(z[i] @ z[k] / temperature) for k in range(len(z)) if k != i)
        if positives:
            losses.append(-np.mean([np.log(np.exp(z[i] @ z[p] / temperature) / everything) for p in positives]))
    return float(np.mean(losses)) if losses else 0.0


@pytest.mark.parametrize("targets", [[0, 1, 0, 1, 1, 2, 2, 0], [0, 0, 0, 0, 0, 0, 0, 1], [0, 1, 2, 3, 4, 5, 6, 7]])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_supervised_contrast_is_its_formula(targets: list[int], temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = functional.normalize(torch.randn(8, 3, generator=generator, dtype=torch.float64), dim=1)
    found = supervised_contrast(z, torch.tensor(targets), temperature)
    assert found.item() == pytest.approx(literal(z.numpy(), np.array(targets), temperature), rel=1e-6)


def test_the_loss_is_that_of_contrast_and_classifier() -> None:
    """Of the two, only the contrast reaches the encoder."""
    torch.manual_seed(0)
    head = SupConSettings(temperature=0.3, projection=(6, 4)).build(5, NAMES).double()
    assert isinstance(head, SupCon)
    features, targets = examples(12, 5)
    features = features.double().requires_grad_()
    loss = head.loss(features, targets)
    z = functional.normalize(head.projection(features), dim=1)
    contrast = supervised_contrast(z, targets, 0.3)
    expected = literal(z.detach().numpy(), targets.numpy(), 0.3)
    expected += functional.cross_entropy(head.linear(features), targets).item()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    (found,) = torch.autograd.grad(loss, features, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(contrast, features)[0])
    loss.backward()
    assert head.linear.weight.grad is not None
