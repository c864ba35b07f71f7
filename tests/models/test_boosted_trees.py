"""Boosted trees against XGBoost's own predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from xgboost import XGBClassifier

from contrastive_har.models.heads.boosted_trees import BoostedTrees, BoostedTreesSettings, _complete

WIDTH = 6
SETTINGS = BoostedTreesSettings(rounds=13, depth=3, learning_rate=0.3)  # in one full part and one that is not


def examples(classes: int, count: int = 300, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around one centre per class, and class indices, the first of which are more frequent."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    targets[::7] = 0
    centres = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(5))
    return 2 * centres[targets] + torch.randn(count, WIDTH, generator=generator), targets


def fitted(classes: int, features: torch.Tensor, targets: torch.Tensor) -> BoostedTrees:
    head = SETTINGS.build(WIDTH, [str(index) for index in range(classes)])
    head.fit(features, targets)
    return head


def xgboosts(features: torch.Tensor, targets: torch.Tensor) -> XGBClassifier:
    classifier = XGBClassifier(n_estimators=13, max_depth=3, learning_rate=0.3, n_jobs=1)
    return classifier.fit(features.numpy(), targets.unique(return_inverse=True)[1].numpy())


def on_thresholds(head: BoostedTrees) -> torch.Tensor:
    """For every node, a window on its threshold and one just below it."""
    feature, threshold = head.feature.flatten(), head.threshold.flatten()
    windows, _ = examples(2, len(feature), seed=3)
    on = windows.scatter(1, feature[:, None], threshold[:, None])
    below = windows.scatter(1, feature[:, None], torch.nextafter(threshold, torch.tensor(-np.inf))[:, None])
    return torch.cat([on, below])


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_probabilities_are_xgboosts(classes: int) -> None:
    features, targets = examples(classes)
    head = fitted(classes, features, targets)
    theirs = xgboosts(features, targets)
    unseen, its_classes = examples(classes, seed=1)
    for windows in (features, unseen, on_thresholds(head)):
        np.testing.assert_allclose(head(windows).softmax(1), theirs.predict_proba(windows.numpy()), atol=1e-6)
    assert (head(unseen).argmax(1) == its_classes).double().mean() > 0.8
    assert not list(head.parameters())


@pytest.mark.parametrize("present", [(2,), (0, 3), (0, 1, 3)])
def test_a_class_without_a_label_is_never_predicted(present: tuple[int, ...]) -> None:
    """Neither are those of an earlier fit."""
    features, targets = examples(4)
    shown = torch.isin(targets, torch.tensor(present))
    head = fitted(4, features, targets)
    head.fit(features[shown], targets[shown])
    chances = head(features).softmax(1)
    assert not chances[:, [index for index in range(4) if index not in present]].any()
    if len(present) > 1:
        expected = xgboosts(features[shown], targets[shown]).predict_proba(features.numpy())
        np.testing.assert_allclose(chances[:, list(present)], expected, atol=1e-6)


def test_a_tree_is_completed_by_leaves_that_repeat() -> None:
    """A root whose left child is a leaf, and whose right one divides again."""
    tree = {
        "left_children": [1, -1, 3, -1, -1],
        "right_children": [2, -1, 4, -1, -1],
        "split_indices": [5, 0, 4, 0, 0],
        "split_conditions": [0.5, 1.0, 0.25, 2.0, 3.0],
    }
    features, thresholds, leaves = _complete(tree, 3)
    assert (features[[0, 2]].tolist(), thresholds[[0, 2]].tolist()) == ([5, 4], [0.5, 0.25])
    assert leaves.tolist() == [1, 1, 1, 1, 2, 2, 3, 3]
    assert len(features) == len(thresholds) == 7
    only_a_leaf = {"left_children": [-1], "right_children": [-1], "split_indices": [0], "split_conditions": [4.0]}
    assert _complete(only_a_leaf, 2)[2].tolist() == [4] * 4


def test_trees_do_not_depend_on_the_random_state_and_survive_storage() -> None:
    features, targets = examples(3)
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(fitted(3, features, targets).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    again = SETTINGS.build(WIDTH, ["a", "b", "c"])
    assert not again(features).any(), "nothing has been fitted"
    again.load_state_dict(states[0])
    assert torch.equal(again(features), fitted(3, features, targets)(features))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_have_no_scores(value: float) -> None:
    features, targets = examples(3)
    head = fitted(3, features, targets)
    broken = features.clone()
    broken[4, 2] = value
    found = head(broken)
    assert found[4].isnan().all()
    rest = torch.arange(len(found)) != 4
    assert torch.equal(found[rest], head(features)[rest])
    with pytest.raises(ValueError, match="contains"):
        head.fit(broken, targets)
