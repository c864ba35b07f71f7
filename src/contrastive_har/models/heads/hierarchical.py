"""A classifier of groups of activities, and one of the activities of each (HHAR-net, Fazli et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.heads.mlp import MLP, MLPSettings


class HierarchicalSettings(BaseHeadSettings):
    """Perceptrons in two levels (arXiv 2010.16052, whose groups are stationary and non-stationary activities).

    Attributes:
        groups: Names of the classes in each group, by its name, such as ``{static: [sit, stand], dynamic: [walk]}``.
            Names that a data set lacks are ignored, so that the same groups serve several.
        network: The perceptron that tells the groups apart, and the one within each.
    """

    name: Literal["hierarchical"] = "hierarchical"
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(min_length=1)
    network: MLPSettings = MLPSettings(hidden=(128, 64))

    @model_validator(mode="after")
    def _names_classes_once(self) -> HierarchicalSettings:
        names = [name for members in self.groups.values() for name in members]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"groups name {', '.join(repeated)} more than once; leave each in one group")
        return self

    def members(self, classes: Sequence[str]) -> list[list[int]]:
        """Return the indices of the classes in each group that has any.

        Raises:
            ValueError: if a class is in no group.
        """
        named = {name for members in self.groups.values() for name in members}
        if missing := [name for name in classes if name not in named]:
            raise ValueError(f"head 'hierarchical' has no group with {', '.join(missing)}; add them to its groups")
        found = [[classes.index(name) for name in members if name in classes] for members in self.groups.values()]
        return [members for members in found if members]

    def build(self, features: int, classes: Sequence[str]) -> Hierarchical:
        """Return untrained perceptrons.

        Raises:
            ValueError: if a class is in no group.
        """
        return Hierarchical(features, self.members(classes), self.network)


class Hierarchical(Head):
    """The probability of a class is that of its group times its own within the group.

    Args:
        features: Width of an embedding.
        groups: Class indices of each group.
        network: Settings of all perceptrons.
    """

    group: Tensor
    place: Tensor
    column: Tensor

    def __init__(self, features: int, groups: Sequence[Sequence[int]], network: MLPSettings) -> None:
        super().__init__()
        self.parent = MLP(features, len(groups), network)
        self.within = nn.ModuleList(MLP(features, len(members), network) for members in groups)
        column = torch.tensor([index for members in groups for index in members]).argsort()
        places = [(group, place) for group, members in enumerate(groups) for place in range(len(members))]
        group, place = torch.tensor(places)[column].unbind(1)
        for name, of_class in (("group", group), ("place", place), ("column", column)):
            self.register_buffer(name, of_class, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-probabilities (batch, classes) of ``features`` (batch, features)."""
        groups: Tensor = self.parent(features).log_softmax(1)
        within = torch.cat([child(features).log_softmax(1) for child in self.within], 1)
        return groups[:, self.group] + within[:, self.column]

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the summed cross-entropies of the groups and, within each, of its classes.

        In each of them, all classes of the batch weigh the same, however many windows they have.
        """
        groups = self.group[targets]
        losses = [_balanced(self.parent(features), groups)]
        for group, child in enumerate(self.within):
            own = groups == group
            losses.append(_balanced(child(features[own]), self.place[targets[own]]))
        return torch.stack(losses).sum()


def _balanced(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over classes of their windows' mean cross-entropy; zero without windows."""
    counts = functional.one_hot(targets, scores.shape[1]).sum(0)
    weights = counts.clamp(min=1).reciprocal()
    return functional.cross_entropy(scores, targets, weights, reduction="sum") / (counts > 0).sum().clamp(min=1)
