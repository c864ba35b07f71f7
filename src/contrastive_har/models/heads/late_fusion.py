"""Late fusion: one head per modality, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.models.heads.mlp import MLPSettings


class LateFusionSettings(BaseHeadSettings):
    """One head per modality; class probabilities are their mean.

    Attributes:
        head: The head of each modality; one whose scores are log-probabilities, so not a ridge regression.
    """

    name: Literal["late_fusion"] = "late_fusion"
    head: Annotated[LinearSettings | LogisticSettings | MLPSettings, Field(discriminator="name")] = LinearSettings()

    @property
    def fitted(self) -> bool:
        """Whether the head is fitted instead of trained by gradient."""
        return self.head.fitted

    @property
    def variants(self) -> Sequence[LateFusionSettings]:
        """One for each variant of the heads."""
        return [self.model_copy(update={"head": head}) for head in self.head.variants]

    def build(self, features: int, classes: Sequence[str]) -> LateFusion:
        """Return an untrained head of a single modality."""
        return self.build_for([features], classes)

    def build_for(self, widths: Sequence[int], classes: Sequence[str]) -> LateFusion:
        """Return untrained heads of several modalities."""
        return LateFusion(widths, classes, self)


class LateFusion(Head):
    """Heads side by side, each of its modality's part of an embedding.

    Args:
        widths: Width of the embeddings of each modality.
        classes: Names of the classes.
        settings: The head of each modality.
    """

    def __init__(self, widths: Sequence[int], classes: Sequence[str], settings: LateFusionSettings) -> None:
        super().__init__()
        self.widths = list(widths)
        self.heads = nn.ModuleList(settings.head.build(width, classes) for width in widths)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-scores (batch, classes) of ``features`` (batch, features); their softmax is the mean one."""
        scores = [head(part).log_softmax(1) for head, part in self._parts(features)]
        return torch.stack(scores).logsumexp(0)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the summed losses of all heads: each learns by itself."""
        return torch.stack([head.loss(part, targets) for head, part in self._parts(features)]).sum()

    def fit(self, features: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Fit every head to its part of the ``features`` (windows, features)."""
        for head, part in self._parts(features):
            head.fit(part, targets, weights)

    def _parts(self, features: Tensor) -> list[tuple[Head, Tensor]]:
        parts = features.split(self.widths, dim=1)
        return [(cast(Head, head), part) for head, part in zip(self.heads, parts, strict=True)]
