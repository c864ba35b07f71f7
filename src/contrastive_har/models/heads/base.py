"""Base classes of heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.strict import StrictModel

IMPOSSIBLE = -1e4
"""Log-score of a class without a label."""


class Head(nn.Module, ABC):
    """Features (batch, features) to log-scores (batch, classes), whose softmax are probabilities.

    Depending on its settings, a head is fitted by :meth:`fit`, or trained by gradient with its :meth:`loss`.
    """

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features)."""

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss, a scalar, of ``features`` (batch, features) with class indices ``targets`` (batch,)."""
        return functional.cross_entropy(self(features), targets)

    def initialise(self) -> None:
        """Set initial weights that are not drawn, before training; nothing, by default."""

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Set the state from labelled windows.

        What is minimised step by step starts from the present state, which is near the end if the windows are nearly
        those of an earlier fit; the result does not depend on it, but for the tolerance of the minimisation.

        Args:
            features: Embeddings (windows, features).
            targets: Class indices (windows,).
            weights: How much each window counts (windows,); None counts all alike.

        Raises:
            TypeError: if the head is trained by gradient.
        """
        raise TypeError(f"{type(self).__name__} is trained by gradient")


class FittedLinear(Head):
    """One linear layer whose weights are set by :meth:`Head.fit`; zeros before.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(features, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` (batch, features) times the weights, plus the biases: (batch, classes)."""
        return features @ self.weight + self.bias


class BaseHeadSettings(StrictModel, ABC):
    """Settings of a head.

    Attributes:
        stacks: Whether many such heads on frozen features are trained side by side as one stack of matrices.
    """

    stacks: ClassVar[bool] = False

    name: str

    @abstractmethod
    def build(self, features: int, classes: Sequence[str]) -> Head:
        """Return an untrained head.

        Args:
            features: Width of an embedding.
            classes: Names of the classes, in the order of their indices.
        """

    def build_for(self, widths: Sequence[int], classes: Sequence[str]) -> Head:
        """Return an untrained head of embeddings that are those of several modalities, side by side.

        Args:
            widths: Width of the embeddings of each modality.
            classes: Names of the classes, in the order of their indices.
        """
        return self.build(sum(widths), classes)

    def classes_by_word(self, classes: Sequence[str]) -> dict[str, list[int]]:
        """Return the indices of the classes whose names have a word, by word; none of a head that reads no names."""
        return {}

    @property
    def fitted(self) -> bool:
        """Whether the head is fitted instead of trained by gradient."""
        return False

    @property
    def variants(self) -> Sequence[BaseHeadSettings]:
        """The settings to choose from by macro-F1 on validation windows; the first is taken where there are none."""
        return [self]

    @property
    def has_likelihood(self) -> bool:
        """Whether the head learned to score labels by their likelihood, so that its scores are log-probabilities."""
        return True


class FittedHeadSettings(BaseHeadSettings):
    """Settings of a head that is fitted."""

    @property
    def fitted(self) -> bool:
        """Whether the head is fitted instead of trained by gradient."""
        return True
