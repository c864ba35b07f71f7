"""The windows nearest to the centres of clusters."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from contrastive_har.labelling.strategies.clusters import ClusteredStrategy


class ClusterCentres(ClusteredStrategy):
    """Chooses the window nearest to the centre of each cluster."""

    why: ClassVar[str] = "at the centre of a cluster of similar windows"

    name: Literal["cluster_centres"] = "cluster_centres"

    def _rank(self, members: torch.Tensor) -> torch.Tensor:
        distances: torch.Tensor = torch.linalg.vector_norm(members - members.mean(0), dim=1)
        return distances
