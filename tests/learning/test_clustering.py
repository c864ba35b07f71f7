from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn import cluster as reference
from sklearn.metrics import adjusted_rand_score
from torch.nn import functional

from contrastive_har.learning.clustering import Clustering, KMeans, keep_confident, kmeans
from tests.learning.examples import cluster_nt_xent, nt_xent


def blobs(groups: int = 5, points: int = 300, spread: float = 0.4, seed: int = 0) -> torch.Tensor:
    """Two views of unit vectors around ``groups`` centres (2, points, 16)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, 16, generator=generator)
    chosen = torch.randint(groups, (2, points), generator=generator)
    noise = torch.randn(2, points, 16, generator=generator)
    return functional.normalize(centres[chosen] + spread * noise, dim=-1)


def make(**settings: object) -> Clustering:
    clustering: Clustering = TypeAdapter(Clustering).validate_python(settings)
    return clustering


def run(points: torch.Tensor, clusters: int = 5, **settings: object) -> torch.Tensor:
    return make(**settings)(points, clusters, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spread", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("clusters", [2, 6, 16])
def test_inertia_is_as_good_as_scikit_learns_best_of_ten(spread: float, clusters: int) -> None:
    points = blobs(8, 500, spread)
    settings = KMeans()
    _, inertia = kmeans(
        points,
        clusters,
        settings.restarts,
        settings.trial_iterations,
        settings.iterations,
        torch.Generator().manual_seed(0),
    )
    for view, mine in zip(points, inertia, strict=True):
        theirs = reference.KMeans(clusters, n_init=10, random_state=0).fit(view.numpy()).inertia_
        assert mine.item() <= 1.02 * theirs


def test_reported_inertia_and_labels_belong_together() -> None:
    points = blobs()
    labels, inertia = kmeans(points, 5, 3, 4, 100, torch.Generator().manual_seed(0))
    for view, mine, total in zip(points, labels, inertia, strict=True):
        centres = torch.stack([view[mine == index].mean(0) for index in range(5)])
        assert (view - centres[mine]).square().sum().item() == pytest.approx(total.item(), rel=1e-3)
        assert torch.equal(torch.cdist(view, centres).argmin(1), mine), "every point is with its nearest centre"


def test_clear_groups_are_found_in_each_view_by_itself() -> None:
    points = blobs(spread=0.05)
    both = run(points, name="kmeans")
    for view, labels in zip(points, both, strict=True):
        theirs = reference.KMeans(5, n_init=10, random_state=0).fit_predict(view.numpy())
        assert adjusted_rand_score(theirs, labels.numpy()) == 1
    alone = run(points[:1].repeat(2, 1, 1), name="kmeans")
    assert adjusted_rand_score(alone[0].numpy(), both[0].numpy()) == 1


def test_more_restarts_never_hurt_and_seeds_repeat() -> None:
    points = blobs(12, 400, 0.8)
    one, ten = (kmeans(points, 12, n, 30, 30, torch.Generator().manual_seed(3))[1] for n in (1, 10))
    assert (ten <= one * 1.001).all()
    again = kmeans(points, 12, 10, 30, 30, torch.Generator().manual_seed(3))[1]
    assert torch.equal(ten, again)


def test_fewer_distinct_points_than_clusters() -> None:
    points = torch.ones(1, 6, 4) / 2
    labels, inertia = kmeans(points, 3, 2, 2, 10, torch.Generator().manual_seed(0))
    assert labels.unique().numel() == 1
    assert inertia.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "estimator"),
    [
        ({"name": "birch"}, reference.Birch(threshold=0.1, n_clusters=5)),
        ({"name": "agglomerative"}, reference.AgglomerativeClustering(5, linkage="ward")),
        (
            {"name": "agglomerative", "metric": "cosine"},
            reference.AgglomerativeClustering(5, metric="cosine", linkage="average"),
        ),
        ({"name": "dbscan"}, reference.DBSCAN(eps=0.3, min_samples=5)),
        ({"name": "dbscan", "metric": "cosine"}, reference.DBSCAN(eps=0.045, min_samples=5, metric="cosine")),
        ({"name": "dbscan", "radius": 0.5, "neighbours": 3}, reference.DBSCAN(eps=0.5, min_samples=3)),
    ],
)
def test_other_algorithms_are_scikit_learns(settings: dict[str, object], estimator: object) -> None:
    points = blobs(spread=0.15)
    for view, labels in zip(points, run(points, **settings), strict=True):
        theirs = estimator.fit_predict(view.numpy())  # type: ignore[attr-defined]
        assert adjusted_rand_score(theirs, labels.numpy()) == pytest.approx(1)


def test_birch_with_too_few_subclusters_keeps_them() -> None:
    points = functional.normalize(torch.eye(3).repeat(2, 10, 1), dim=-1)
    assert run(points, 6, name="birch").unique().numel() == 3


def test_dbscan_noise_is_one_cluster_or_many() -> None:
    points = functional.normalize(torch.randn(1, 30, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert run(points, name="dbscan").unique().numel() == 1
    assert run(points, name="dbscan", noise="singletons").unique().numel() == 30


@pytest.mark.parametrize("confidence", [95, 80, 50])
def test_confident_members_are_the_nearest(confidence: float) -> None:
    points = blobs()[0].double()
    labels = run(blobs(), name="kmeans")[0]
    kept = keep_confident(points, labels, confidence)
    for cluster in labels.unique():
        members = labels == cluster
        distance = (points - points[members].mean(0)).norm(dim=1)
        sizes = kept[members].bincount()[kept[members]]
        stayed = sizes > 1
        assert stayed.sum() == round(confidence / 100 * int(members.sum()))
        assert distance[members][stayed].max() <= distance[members][~stayed].min()
    lonely = kept.bincount()[kept] == 1
    assert kept[lonely].unique().numel() == lonely.sum()


def test_full_confidence_changes_nothing_and_none_is_nt_xent() -> None:
    points = blobs()
    labels = run(points, name="kmeans")
    full = run(points, name="kmeans", confidence=100)
    assert torch.equal(labels, full)
    none = run(points, name="kmeans", confidence=0)
    assert all(view.unique().numel() == points.shape[1] for view in none)
    torch.testing.assert_close(cluster_nt_xent(*points, *none, 0.1), nt_xent(*points, 0.1))


@pytest.mark.parametrize(
    "settings",
    [{"name": "nope"}, {"name": "kmeans", "clusters": 0}, {"name": "kmeans", "confidence": 101}],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        make(**settings)


def test_numbers_of_labels() -> None:
    for name in ("kmeans", "birch", "agglomerative"):
        labels = run(blobs(spread=0.8), 4, name=name)
        assert labels.shape == (2, 300)
        assert [view.unique().numel() for view in labels] == [4, 4]
        assert np.issubdtype(labels.numpy().dtype, np.integer)
