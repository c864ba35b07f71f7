"""The hierarchical head against a literal transcription of what it computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.heads.hierarchical import Hierarchical, HierarchicalSettings
from contrastive_har.models.heads.mlp import MLPSettings

NAMES = ("walk", "sit", "run", "stand", "lie")
GROUPS = {"static": ("lie", "sit", "kneel", "stand"), "other": ("swim",), "dynamic": ("run", "walk")}
MEMBERS = [[4, 1, 3], [2, 0]]
WIDTH = 6


def built(**groups: tuple[str, ...]) -> Hierarchical:
    torch.manual_seed(0)
    settings = HierarchicalSettings(groups=groups or GROUPS, network=MLPSettings(hidden=(8,), dropout=0))
    return settings.build(WIDTH, NAMES)


def examples(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around one centre per class, and class indices of various frequencies."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4])[torch.arange(count) % 8]
    centres = torch.randn(len(NAMES), WIDTH, generator=generator)
    return 2 * centres[targets] + torch.randn(count, WIDTH, generator=generator), targets


def chances_of(network: torch.nn.Module, window: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        scores = network(window[None])[0].double().numpy()
    return np.exp(scores) / np.exp(scores).sum()


def literal_probabilities(head: Hierarchical, window: torch.Tensor) -> np.ndarray:
    """P(group) P(class | group), one class after the other."""
    chances = np.zeros(len(NAMES))
    for group, members in enumerate(MEMBERS):
        for place, index in enumerate(members):
            chances[index] = chances_of(head.parent, window)[group] * chances_of(head.within[group], window)[place]
    return chances


def literal_loss(head: Hierarchical, features: torch.Tensor, targets: torch.Tensor) -> float:
    """For the parent and each child, the mean over its classes of the mean over their windows of -log P."""

    def balanced(network: torch.nn.Module, rows: list[tuple[torch.Tensor, int]]) -> float:
        of_class: dict[int, list[float]] = {}
        for window, index in rows:
            of_class.setdefault(index, []).append(-np.log(chances_of(network, window)[index]))
        return float(np.mean([np.mean(losses) for losses in of_class.values()])) if rows else 0.0

    pairs = list(zip(features, targets.tolist(), strict=True))
    groups = [(window, next(g for g, members in enumerate(MEMBERS) if target in members)) for window, target in pairs]
    total = balanced(head.parent, groups)
    for child, members in zip(head.within, MEMBERS, strict=True):
        total += balanced(child, [(window, members.index(target)) for window, target in pairs if target in members])
    return total


def test_the_probability_of_a_class_is_its_groups_times_its_own() -> None:
    head = built()
    features, _ = examples()
    found = head(features).exp().detach()
    expected = np.stack([literal_probabilities(head, window) for window in features])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("shown", [NAMES, ("walk", "sit", "stand"), ("sit", "lie"), ("run",)])
def test_the_loss_is_the_balanced_cross_entropies_of_parent_and_children(shown: tuple[str, ...]) -> None:
    """Also in batches that lack classes, or all of a group."""
    head = built()
    features, targets = examples()
    chosen = torch.isin(targets, torch.tensor([NAMES.index(name) for name in shown]))
    features, targets = features[chosen], targets[chosen]
    loss = head.loss(features, targets)
    assert loss.item() == pytest.approx(literal_loss(head, features, targets), rel=1e-4)
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters())


def test_it_learns_classes_and_stores_only_its_perceptrons() -> None:
    head = built()
    features, targets = examples()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        head.loss(features, targets).backward()
        optimiser.step()
    assert (head(features).argmax(1) == targets).all()
    assert {name.partition(".")[0] for name in head.state_dict()} == {"parent", "within"}
    again = built()
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(features), head(features))


def test_names_that_the_data_lack_are_ignored_and_classes_without_a_group_are_not() -> None:
    assert HierarchicalSettings(groups=GROUPS).members(NAMES) == MEMBERS
    head = built(alone=("lie",), rest=("walk", "sit", "run", "stand"))
    features, _ = examples()
    assert chances_of(head.within[0], features[0]).tolist() == [1], "a class that is alone is certain within its group"
    with pytest.raises(ValueError, match="no group with run, stand; add them to its groups"):
        built(static=("sit", "lie"), dynamic=("walk",))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, "groups"),
        ({}, "groups"),
        ({"static": []}, "static"),
        ({"static": ["sit", "lie"], "dynamic": ["walk", "sit"]}, "groups name sit more than once"),
        ({"static": ["sit", "sit"]}, "groups name sit more than once"),
    ],
)
def test_impossible_groups_are_refused(groups: dict[str, list[str]] | None, message: str) -> None:
    entry = {"name": "hierarchical"} | ({} if groups is None else {"groups": groups})
    with pytest.raises(ValueError, match=message):
        TypeAdapter(HeadSettings).validate_python(entry)
