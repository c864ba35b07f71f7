"""Nearest neighbours among the labelled windows, weighted by their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.heads.base import FittedHeadSettings, Head

_LEAST = 1e-30
"""Votes of a class without a neighbour, of which the nearest has one vote: their logarithm is finite."""


class KNNSettings(FittedHeadSettings):
    """Weighted nearest neighbours (Wu et al. 2018, arXiv 1805.01978), whose 200 are for a million labelled images.

    Attributes:
        neighbours: Number of neighbours; all labelled windows where there are fewer.
        temperature: Divisor of the cosine similarities; a neighbour has exp(similarity / temperature) votes.
        windows: Most labelled windows that are kept; of more, so many are drawn.
    """

    name: Literal["knn"] = "knn"
    neighbours: int = Field(default=20, gt=0)
    temperature: float = Field(default=0.07, ge=0.01)
    windows: int = Field(default=2000, gt=0)

    def build(self, features: int, classes: Sequence[str]) -> KNN:
        """Return a head that has not been fitted."""
        return KNN(features, len(classes), self)


class KNN(Head):
    """Log-scores are the logarithms of the votes of the nearest labelled windows.

    Args:
        features: Width of an embedding.
        classes: Number of classes.
        settings: Number of neighbours, temperature and number of labelled windows.
    """

    embeddings: Tensor
    labels: Tensor

    def __init__(self, features: int, classes: int, settings: KNNSettings) -> None:
        super().__init__()
        self.temperature = settings.temperature
        self.neighbours = min(settings.neighbours, settings.windows)
        self.register_buffer("embeddings", torch.zeros(settings.windows, features))
        self.register_buffer("labels", torch.zeros(settings.windows, classes))  # zero where there is no window

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features)."""
        similarities = functional.normalize(features, dim=1) @ self.embeddings.T
        absent = 4.0 * (self.labels.sum(1) == 0)  # similarities differ by two at most: these rows come last
        nearest, index = (similarities - absent).topk(self.neighbours, dim=1)
        votes = ((nearest - nearest[:, :1]) / self.temperature).exp()
        counted = (votes[:, :, None] * self.labels[index]).sum(1)
        return counted.clamp(min=_LEAST).log()

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Keep the labelled windows; weights multiply their votes."""
        kept = torch.arange(len(features))
        if len(features) > len(self.embeddings):
            kept = torch.randperm(len(features))[: len(self.embeddings)].sort().values
        kept = kept.to(features.device)
        for buffer in self.buffers():
            buffer.zero_()
        self.embeddings[: len(kept)] = functional.normalize(features[kept], dim=1)
        votes = functional.one_hot(targets[kept], self.labels.shape[1]).to(self.labels)
        self.labels[: len(kept)] = votes if weights is None else votes * weights[kept, None].to(votes)
