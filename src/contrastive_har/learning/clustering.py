"""Clusterings of the projections of a batch, with one interface for all algorithms.

To add one: a class, and one line in ``Clustering``.

K-means is implemented here: it runs on the device, batched over both views and all restarts. The other algorithms are
those of scikit-learn and run on the CPU.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.strict import StrictModel


class BaseClustering(StrictModel):
    """Base class of clusterings, which are their own settings.

    Attributes:
        clusters: Number of clusters; null takes the number of activities, as published.
        confidence: Percentage of the members of each cluster, nearest to its centre first, that stay in it; each other
            sample becomes a cluster of its own (ClusterCLHAR's confidence alpha; 0 gives NT-Xent).
    """

    name: str
    clusters: int | None = Field(default=None, gt=0)
    confidence: float = Field(default=100.0, ge=0, le=100)

    finds_their_number: ClassVar[bool] = False
    """Whether the number of clusters follows from the data, regardless of the settings."""

    def __call__(self, embeddings: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
        """Return cluster labels (views, batch) of ``embeddings`` (views, batch, features), each view separately."""
        labels = self._labels(embeddings, clusters, generator)
        if self.confidence == 100:
            return labels
        return torch.stack(
            [keep_confident(view, of_view, self.confidence) for view, of_view in zip(embeddings, labels, strict=True)]
        )

    def _labels(self, embeddings: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
        """Cluster one view after the other, by default with a scikit-learn estimator."""
        views = [self._labels_of_view(view.float().cpu(), clusters) for view in embeddings]
        return torch.stack(views).to(embeddings.device)

    def _labels_of_view(self, points: Tensor, clusters: int) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not cluster a single view")


class KMeans(BaseClustering):
    """K-means from several greedy k-means++ seedings, of which only the best is continued.

    With the defaults the inertia is on average within half a per cent of that of scikit-learn's best of ten.

    Attributes:
        restarts: Number of seedings.
        trial_iterations: Lloyd iterations of every seeding; then the one with the least inertia is continued.
        iterations: Limit of the further iterations.
    """

    name: Literal["kmeans"] = "kmeans"
    restarts: int = Field(default=8, gt=0)
    trial_iterations: int = Field(default=4, gt=0)
    iterations: int = Field(default=12, gt=0)

    def _labels(self, embeddings: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
        return kmeans(embeddings, clusters, self.restarts, self.trial_iterations, self.iterations, generator)[0]


class Birch(BaseClustering):
    """BIRCH with the published threshold; Ward's clustering joins its sub-clusters."""

    name: Literal["birch"] = "birch"
    threshold: float = Field(default=0.1, gt=0)

    def _labels_of_view(self, points: Tensor, clusters: int) -> Tensor:
        from sklearn.cluster import Birch as Estimator

        # If there are fewer sub-clusters than requested, they are returned: as in scikit-learn, but without a warning.
        estimator = Estimator(threshold=self.threshold, n_clusters=None).fit(points.numpy())
        if len(estimator.subcluster_centers_) > clusters:
            estimator = estimator.set_params(n_clusters=clusters).partial_fit()
        return torch.from_numpy(estimator.predict(points.numpy())).long()


class Agglomerative(BaseClustering):
    """Hierarchical clustering: Ward's linkage for Euclidean, average linkage for cosine distances."""

    name: Literal["agglomerative"] = "agglomerative"
    metric: Literal["euclidean", "cosine"] = "euclidean"

    def _labels_of_view(self, points: Tensor, clusters: int) -> Tensor:
        from sklearn.cluster import AgglomerativeClustering as Estimator

        linkage = "ward" if self.metric == "euclidean" else "average"
        labels = Estimator(n_clusters=clusters, metric=self.metric, linkage=linkage).fit_predict(points.numpy())
        return torch.from_numpy(labels).long()


class DBSCAN(BaseClustering):
    """Density-based clustering; the number of clusters follows from the data.

    Attributes:
        metric: Distance between projections.
        radius: Neighbourhood radius; null takes 0.3 for Euclidean and 0.045 for cosine distances, the same
            neighbourhood on unit vectors.
        neighbours: Fewest points of a dense neighbourhood.
        noise: Whether noise is one cluster (literal label equality, as published) or each noise point a separate one.
    """

    finds_their_number: ClassVar[bool] = True

    name: Literal["dbscan"] = "dbscan"
    metric: Literal["euclidean", "cosine"] = "euclidean"
    radius: float | None = Field(default=None, gt=0)
    neighbours: int = Field(default=5, gt=0)
    noise: Literal["one_cluster", "singletons"] = "one_cluster"

    def _labels_of_view(self, points: Tensor, clusters: int) -> Tensor:
        from sklearn import cluster

        radius = self.radius or {"euclidean": 0.3, "cosine": 0.045}[self.metric]
        estimator = cluster.DBSCAN(eps=radius, min_samples=self.neighbours, metric=self.metric)
        labels = estimator.fit_predict(points.numpy())
        assigned = torch.from_numpy(labels).long()
        noise = assigned < 0
        next_label = int(assigned.max()) + 1
        assigned[noise] = next_label if self.noise == "one_cluster" else next_label + torch.arange(int(noise.sum()))
        return assigned


Clustering = Annotated[KMeans | Birch | Agglomerative | DBSCAN, Field(discriminator="name")]
"""Any clustering, chosen by its ``name`` in configuration."""


def keep_confident(points: Tensor, labels: Tensor, confidence: float) -> Tensor:
    """Turn the samples farthest from their cluster's mean into clusters of their own.

    Of a cluster with n members, round(confidence / 100 * n) stay (methods: ClusterCLHAR, confidence alpha).

    Args:
        points: Embeddings (batch, features).
        labels: Their clusters (batch,).
        confidence: Percentage of members that stay.
    """
    _, compact = labels.unique(return_inverse=True)
    members = functional.one_hot(compact).to(points.dtype)
    sizes = members.sum(0)
    centres = (members.T @ points) / sizes[:, None]
    distance = (points - centres[compact]).norm(dim=1)
    order = torch.argsort(distance, stable=True)
    order = order[torch.argsort(compact[order], stable=True)]
    first_of_cluster = functional.pad(sizes.cumsum(0)[:-1], (1, 0)).long()
    rank = torch.empty_like(compact)
    rank[order] = torch.arange(len(order), device=rank.device) - first_of_cluster[compact[order]]
    stays = rank < (sizes * confidence / 100).round()[compact]
    return torch.where(stays, compact, len(sizes) + torch.arange(len(compact), device=compact.device))


def kmeans(
    points: Tensor,
    clusters: int,
    restarts: int,
    trial_iterations: int,
    iterations: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cluster several sets of points at once.

    Args:
        points: (sets, points, features).
        clusters: Clusters per set.
        restarts: Seedings per set.
        trial_iterations: Lloyd iterations of every seeding; then the one with the least inertia is continued.
        iterations: Limit of the further iterations.
        generator: Generator of the seedings, on the points' device or the CPU.

    Returns:
        Labels (sets, points) and inertia (sets,).
    """
    squares = points.square().sum(-1)
    centres = _seed_greedily(points, squares, clusters, restarts, generator)
    for _ in range(trial_iterations):
        distances = _relative_distances(points, centres)
        centres = _means(points, _nearest(distances), centres)
    best = distances.amin(2).sum(-1).argmin(1)
    centres = _take(centres.flatten(2), best[:, None]).view(len(points), 1, clusters, -1)
    members = None
    for _ in range(iterations):
        previous, members = members, _nearest(_relative_distances(points, centres))
        # Stopping early needs the result on the host, which costs nothing on a CPU only.
        if previous is not None and points.device.type == "cpu" and torch.equal(members, previous):
            break
        centres = _means(points, members, centres)
    nearest, labels = _relative_distances(points, centres).squeeze(1).min(1)
    return labels, (squares + nearest).sum(1)


def _relative_distances(points: Tensor, centres: Tensor) -> Tensor:
    """Return squared distances minus the square of the point (sets, restarts, clusters, points).

    With the points last, the minimum over clusters runs along contiguous memory.
    """
    flat = centres.flatten(1, 2)
    distances = torch.baddbmm(flat.square().sum(-1, keepdim=True), flat, points.transpose(1, 2), alpha=-2)
    return distances.view(len(points), *centres.shape[1:3], -1)


def _nearest(distances: Tensor) -> Tensor:
    """Mark the nearest centre of each point with a one; all of them if several are equally near."""
    return (distances == distances.amin(2, keepdim=True)).to(distances.dtype)


def _means(points: Tensor, members: Tensor, centres: Tensor) -> Tensor:
    """Return the mean of each cluster's members; an empty cluster keeps its centre."""
    flat = members.flatten(1, 2)
    sizes = flat.sum(-1, keepdim=True)
    means = torch.where(sizes > 0, (flat @ points) / sizes.clamp(min=1), centres.flatten(1, 2))
    return means.view_as(centres)


def _seed_greedily(points: Tensor, squares: Tensor, clusters: int, restarts: int, generator: torch.Generator) -> Tensor:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): of several candidates drawn by distance, take the best."""
    sets, count, features = points.shape
    trials = 2 + int(math.log(clusters))
    shape = (clusters, sets, restarts, trials)
    draws = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64).to(points)
    first = (draws[0, :, :, 0] * count).long().clamp(max=count - 1)
    chosen = [_take(points, first)]
    closest = _distances(points, squares, chosen[0])
    for step in range(1, clusters):
        cumulative = closest.cumsum(-1)
        targets = draws[step] * cumulative[..., -1:]
        candidates = torch.searchsorted(cumulative, targets).clamp(max=count - 1)
        positions = _take(points, candidates.flatten(1))
        distance = _distances(points, squares, positions).unflatten(1, (restarts, trials))
        distance = torch.minimum(distance, closest.unsqueeze(2))
        best = distance.sum(-1).argmin(-1)
        closest = distance.gather(2, best[..., None, None].expand(-1, -1, 1, count)).squeeze(2)
        positions = positions.unflatten(1, (restarts, trials))
        chosen.append(positions.gather(2, best[..., None, None].expand(-1, -1, 1, features)).squeeze(2))
    return torch.stack(chosen, 2)


def _take(points: Tensor, index: Tensor) -> Tensor:
    """Return points (sets, n, features) at ``index`` (sets, n)."""
    return points.gather(1, index.unsqueeze(-1).expand(-1, -1, points.shape[-1]))


def _distances(points: Tensor, squares: Tensor, centres: Tensor) -> Tensor:
    """Return squared distances (sets, centres, points)."""
    products = centres @ points.transpose(1, 2)
    return (centres.square().sum(-1, keepdim=True) + squares.unsqueeze(1) - 2 * products).clamp_(min=0)
