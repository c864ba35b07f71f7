"""Diagnostics of one batch of pre-training: clusters against activities, and the geometry of what is learned."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.objectives import Objective, StepResult
from contrastive_har.learning.objectives.base import full_precision
from contrastive_har.signals.descriptions import UNLABELLED

NOT_MEASURED = float("nan")
SPREADS = ("deviation", "effective_rank")
_RECALLS = (1, 5)
SAMPLE = 1024
"""Windows of a batch that are compared in pairs, or embedded together: of larger batches the first."""


def diagnose(result: StepResult, classes: NDArray[np.int64]) -> dict[str, float]:
    """Return diagnostics of a batch; those that its objective does not allow are NaN.

    ``cluster_nmi`` is the normalised mutual information of the first view's clusters and the activities, ``alignment``
    the mean squared distance of the projections of a window's views, and ``uniformity`` the logarithm of the mean of
    exp(-2 distance^2) over pairs of the first windows, averaged over views (Wang and Isola 2020, arXiv 2005.10242): the
    lower either is, the better. Neither of the last two uses labels.

    Args:
        result: Result of the objective.
        classes: Class indices of the windows of the batch (batch,).
    """
    agreement = alignment = uniformity = NOT_MEASURED
    if result.clusters is not None:
        clusters = result.clusters[0]
        agreement = _agreement(clusters, classes[: len(clusters)])
    if result.projections is not None:
        views = result.projections
        alignment = _mean([(a - b).square().sum(1).mean() for a, b in combinations(views, 2)])
        # Pairwise distances are not implemented on every device.
        uniformity = _mean([torch.pdist(view[:SAMPLE].cpu()).square().mul(-2).exp().mean().log() for view in views])
    return {"cluster_nmi": agreement, "alignment": alignment, "uniformity": uniformity}


def measure_spread(objective: Objective, windows: Tensor) -> dict[str, float]:
    """Return how far the embeddings of some windows differ; of several modalities, those that differ the least.

    ``deviation`` is the standard deviation of the L2-normalised embeddings, averaged over features, times the root of
    their number (Chen and He 2020, arXiv 2011.10566, fig. 2): 1 if they point in all directions, 0 if all are equal.
    ``effective_rank`` is the exponential of the entropy of the shares of their singular values (Roy and Vetterli 2007;
    Garrido et al. 2022, arXiv 2210.02885), of deviations from their mean: between 1 and the number of features.

    Args:
        objective: The objective; its mode is left as it was.
        windows: Normalised windows (windows, time, channels), without augmentation.
    """
    modes = [(module, module.training) for module in objective.modules()]
    objective.eval()
    with torch.no_grad():
        embeddings = objective.embed(windows)
    for module, mode in modes:
        module.training = mode
    spreads = [
        _spread(functional.normalize(full_precision(embedding).cpu().double(), dim=1)) for embedding in embeddings
    ]
    return {name: min(spread[name] for spread in spreads) for name in SPREADS}


def _spread(embeddings: Tensor) -> dict[str, float]:
    """Return the spread of L2-normalised ``embeddings`` (windows, features)."""
    deviation = float(embeddings.std(0, correction=0).mean()) * embeddings.shape[1] ** 0.5
    values = torch.linalg.svdvals(embeddings - embeddings.mean(0))
    shares = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return {"deviation": deviation, "effective_rank": float(torch.special.entr(shares).sum().exp())}


def measure_retrieval(objective: Objective, windows: Tensor) -> dict[str, float]:
    """Return how often a modality of a window finds its partner among other windows; NaN for a single modality.

    For each ordered pair of modalities, the projection of a window in the one is compared with those of all windows in
    the other: ``recall_at_1`` and ``recall_at_5`` are the shares of windows that are the most similar, or among the
    five most similar. Of equally similar windows the partner is the last, so that a collapsed encoder finds nothing.
    No labels are used.

    Args:
        objective: The trained objective, in evaluation mode.
        windows: Normalised windows (windows, time, channels) that were not learned from.
    """
    with torch.no_grad():
        projections = objective.project(windows) if len(windows) else []
    if len(projections) < 2:
        return {f"recall_at_{count}": NOT_MEASURED for count in _RECALLS}
    ranks = []
    for one, other in permutations(projections, 2):
        similarities = one @ other.T
        ranks.append((similarities >= similarities.diagonal()[:, None]).sum(1) - 1)
    return {f"recall_at_{count}": _mean([(rank < count).cpu().double().mean() for rank in ranks]) for count in _RECALLS}


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())


def _agreement(clusters: Tensor, classes: NDArray[np.int64]) -> float:
    from sklearn.metrics import normalized_mutual_info_score  # takes long to import

    labelled = classes != UNLABELLED
    if not labelled.any():
        return NOT_MEASURED
    return float(normalized_mutual_info_score(classes[labelled], clusters.cpu().numpy()[labelled]))
