"""Strategies that choose one window of each of as many clusters as windows are to be labelled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn import functional

from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.strategies.base import Allowed, BaseStrategy
from contrastive_har.learning.clustering import kmeans


class ClusteredStrategy(BaseStrategy):
    """Chooses from k-means clusters, of which there are as many as windows with a label, old and new.

    As in TypiClust (Hacohen, Dekel, Weinshall 2022, arXiv 2202.02794, algorithm 1), the next window is one of a cluster
    with the fewest labels, the largest of these. Distances are Euclidean.

    Attributes:
        unit_length: Scale each embedding to length one first, so that distances are those of angles.
        most_clusters: Most clusters, beyond which they get a further window in turn (as in TypiClust).
        restarts: Seedings of k-means, of which the best is continued.
        iterations: Limit of its iterations.
    """

    unit_length: bool = False
    most_clusters: int = Field(default=500, gt=0)
    restarts: int = Field(default=2, gt=0)
    iterations: int = Field(default=20, gt=0)

    def _pick(self, candidates: Candidates, allowed: Allowed, count: int, rng: np.random.Generator) -> Iterator[int]:
        points = torch.from_numpy(candidates.embeddings)
        if self.unit_length:
            points = functional.normalize(points, dim=1)
        wanted = min(len(candidates.labelled) + count, self.most_clusters, len(points))
        clusters = self._cluster(points, wanted, rng)
        labels = np.bincount(clusters[candidates.labelled], minlength=wanted)
        size = np.bincount(clusters, minlength=wanted)
        while (free := allowed()).any():
            has_free = np.bincount(clusters[free], minlength=wanted) > 0
            cluster = next(one for one in np.lexsort((-size, labels)) if has_free[one])
            members = np.flatnonzero(clusters == cluster)
            rank = self._rank(points[torch.from_numpy(members)]).numpy()
            index = int(members[np.where(free[members], rank, np.inf).argmin()])
            yield index
            labels += np.bincount(clusters[candidates.members(index)], minlength=wanted)

    def _cluster(self, points: torch.Tensor, clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        centred = points - points.mean(0)  # k-means multiplies out squares, which loses digits far from zero
        labels, _ = kmeans(centred[None], clusters, self.restarts, 4, self.iterations, generator)
        return labels[0].numpy()

    @abstractmethod
    def _rank(self, members: torch.Tensor) -> torch.Tensor:
        """Return how much each member (members, features) of a cluster is wanted (members,): the least is best."""
