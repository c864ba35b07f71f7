"""Heads, which turn embeddings into scores of activities.

To add one: a module with settings and a head, and one line in ``HeadSettings``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.heads.boosted_trees import BoostedTreesSettings
from contrastive_har.models.heads.hierarchical import HierarchicalSettings
from contrastive_har.models.heads.knn import KNNSettings
from contrastive_har.models.heads.label_sequence import LabelSequenceSettings
from contrastive_har.models.heads.late_fusion import LateFusionSettings
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.models.heads.mlp import MLPSettings
from contrastive_har.models.heads.ridge import RidgeSettings
from contrastive_har.models.heads.supcon import SupConSettings

__all__ = ["BaseHeadSettings", "Head", "HeadSettings"]

HeadSettings = Annotated[
    LinearSettings
    | LogisticSettings
    | MLPSettings
    | SupConSettings
    | RidgeSettings
    | BoostedTreesSettings
    | KNNSettings
    | HierarchicalSettings
    | LabelSequenceSettings
    | LateFusionSettings,
    Field(discriminator="name"),
]
"""Any head, chosen by its ``name`` in configuration; ``build(features, classes)`` returns it, untrained."""
