"""TypiClust: the most typical window of each cluster."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from contrastive_har.labelling.strategies.clusters import ClusteredStrategy

_AT_ONCE = 2**24  # distances that are in memory at a time


class Typical(ClusteredStrategy):
    """Chooses the window of each cluster that is nearest to its neighbours: in the densest part of the cluster.

    TypiClust (Hacohen, Dekel, Weinshall 2022, arXiv 2202.02794, equation 1): typicality is the inverse of the mean
    distance to the nearest neighbours in the cluster.

    Attributes:
        neighbours: Number of neighbours; all others of a cluster that has fewer.
    """

    why: ClassVar[str] = "typical of a cluster of similar windows"

    name: Literal["typical"] = "typical"
    neighbours: int = Field(default=20, gt=0)

    def _rank(self, members: torch.Tensor) -> torch.Tensor:
        count = min(self.neighbours, len(members) - 1)
        if count == 0:
            return torch.zeros(1)
        rows = members.split(max(1, _AT_ONCE // len(members)))
        nearest = [torch.cdist(some, members).topk(count + 1, largest=False).values for some in rows]
        return torch.cat(nearest)[:, 1:].mean(1)  # the first is the window itself
