"""Gradient-boosted trees (XGBoost, Chen and Guestrin 2016, arXiv 1603.02754)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrastive_har.models.heads.base import IMPOSSIBLE, FittedHeadSettings, Head

_AT_ONCE = 10  # rounds whose trees are walked together: memory is (rounds, classes, batch)


class BoostedTreesSettings(FittedHeadSettings):
    """Gradient-boosted trees, grown by XGBoost on histograms; what is not set here is XGBoost's default.

    By that default a leaf needs a summed second derivative of one, which takes several windows of each class: with a
    single label per class no tree splits.

    Attributes:
        rounds: Trees of each class; of two classes, only the second has trees.
        depth: Most decisions from root to leaf.
        learning_rate: Factor of each tree's values.
    """

    name: Literal["boosted_trees"] = "boosted_trees"
    rounds: int = Field(default=200, gt=0)
    depth: int = Field(default=6, gt=0, le=10)
    learning_rate: float = Field(default=0.1, gt=0, le=1)

    def build(self, features: int, classes: Sequence[str]) -> BoostedTrees:
        """Return a head that has not been fitted."""
        return BoostedTrees(len(classes), self)


class BoostedTrees(Head):
    """Sums of trees, each stored as a complete binary tree: node i has its children at 2 i + 1 and 2 i + 2.

    A window goes left where its feature is below the node's threshold. Below a leaf that is not at full depth, all
    leaves have its value.

    Args:
        classes: Number of classes.
        settings: Number, depth and learning rate of the trees.
    """

    feature: Tensor
    threshold: Tensor
    leaf: Tensor
    bias: Tensor

    def __init__(self, classes: int, settings: BoostedTreesSettings) -> None:
        super().__init__()
        self.settings = settings
        leaves = 2**settings.depth
        self.register_buffer("feature", torch.zeros(settings.rounds, classes, leaves - 1, dtype=torch.long))
        self.register_buffer("threshold", torch.zeros(settings.rounds, classes, leaves - 1))
        self.register_buffer("leaf", torch.zeros(settings.rounds, classes, leaves))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features); NaN if a feature is not finite."""
        columns, classes = features.T, len(self.bias)
        scores = self.bias.unsqueeze(1)
        parts = (trees.split(_AT_ONCE) for trees in (self.feature, self.threshold, self.leaf))
        for of_part in zip(*parts, strict=True):
            feature, threshold, leaf = (values.flatten(0, 1) for values in of_part)  # (trees, nodes)
            node = torch.zeros(len(leaf), features.shape[0], dtype=torch.long, device=features.device)
            for _ in range(self.settings.depth):
                below = columns.gather(0, feature.gather(1, node)) < threshold.gather(1, node)
                node = 2 * node + 2 - below.long()
            values = leaf.gather(1, node - feature.shape[1])
            scores = scores + values.unflatten(0, (-1, classes)).sum(0)
        finite = features.isfinite().all(1, keepdim=True)
        return torch.where(finite, scores.T, torch.nan)  # a walk would end in some leaf

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Grow the trees; classes without a label are never predicted.

        Raises:
            ValueError: if a feature is not finite.
        """
        import xgboost  # takes long to import
        from sklearn.utils import check_array

        present, labels = targets.unique(return_inverse=True)
        for buffer in self.buffers():
            buffer.zero_()
        self.bias.fill_(IMPOSSIBLE)
        self.bias[present] = 0.0
        if len(present) == 1:
            return
        two = len(present) == 2
        scored = present[1:] if two else present  # of two classes, XGBoost has the log-odds of the second
        threads = torch.get_num_threads()
        parameters = {
            "objective": "binary:logistic" if two else "multi:softprob",
            "num_class": len(scored),
            "max_depth": self.settings.depth,
            "learning_rate": self.settings.learning_rate,
            "tree_method": "hist",
            "nthread": threads,
        }
        examples = xgboost.DMatrix(
            check_array(features.cpu().numpy()),
            labels.cpu().numpy(),
            weight=None if weights is None else weights.cpu().numpy(),
            nthread=threads,
        )
        booster = xgboost.train(parameters, examples, self.settings.rounds)
        learner = json.loads(booster.save_raw("json"))["learner"]
        start = torch.tensor(json.loads(learner["learner_model_param"]["base_score"]))
        self.bias[scored] = (start.logit() if two else start).to(self.bias)
        trees = learner["gradient_booster"]["model"]["trees"]  # a tree of each class, round by round
        complete = zip(*(_complete(tree, self.settings.depth) for tree in trees), strict=True)
        for buffer, values in zip((self.feature, self.threshold, self.leaf), complete, strict=True):
            of_all = torch.from_numpy(np.stack(values)).unflatten(0, (-1, len(scored)))
            buffer[:, scored] = of_all.to(buffer)


def _complete(
    tree: Mapping[str, Any], depth: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return features and thresholds (nodes,) and values of leaves (leaves,) of a tree as a complete one."""
    children = np.stack([tree["left_children"], tree["right_children"]], axis=1)
    children = np.where(children < 0, np.arange(len(children))[:, None], children)  # a leaf is its own child
    level = np.zeros(1, np.int64)
    levels = []
    for _ in range(depth):
        levels.append(level)
        level = children[level].ravel()
    inner = np.concatenate(levels)
    values = np.array(tree["split_conditions"], np.float32)  # thresholds; of leaves, their values
    return np.array(tree["split_indices"])[inner], values[inner], values[level]
