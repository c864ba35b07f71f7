"""Strategies, which choose the windows to label.

To add one: a module with a strategy, and one line in ``Strategy``.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from contrastive_har.labelling.strategies.badge import Badge
from contrastive_har.labelling.strategies.base import BaseStrategy
from contrastive_har.labelling.strategies.cluster_centres import ClusterCentres
from contrastive_har.labelling.strategies.core_set import CoreSet
from contrastive_har.labelling.strategies.margin import Margin
from contrastive_har.labelling.strategies.random import Random
from contrastive_har.labelling.strategies.typical import Typical

__all__ = ["BaseStrategy", "ClusterCentres", "Strategy", "strategy_names"]

Strategy = Annotated[
    Random | ClusterCentres | Typical | CoreSet | Margin | Badge,
    Field(discriminator="name"),
]
"""Any strategy, chosen by its ``name`` in configuration; ``choose(candidates, count, seed)`` returns windows."""


def strategy_names() -> list[str]:
    """Return the names of all strategies."""
    union, _ = get_args(Strategy)
    return [str(strategy.model_fields["name"].default) for strategy in get_args(union)]
