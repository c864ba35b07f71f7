"""Collapse: encoders that embed or project all windows alike, or along a single direction."""

from __future__ import annotations

from collections.abc import Mapping

LEAST_DEVIATION = 0.05
"""Standard deviation of L2-normalised embeddings, times the root of their width, below which they are all alike: it is
1 if they point in all directions equally."""

LEAST_RANK = 1.5
"""Effective rank of embeddings below which they vary along a single direction."""

MOST_UNIFORMITY = -0.05
"""Uniformity of L2-normalised projections above which they are all alike: 0 if they are equal."""


def has_collapsed(measured: Mapping[str, float]) -> bool:
    """Return whether an epoch's ``deviation``, ``effective_rank`` or ``uniformity`` shows collapse; NaN shows none."""
    return bool(
        measured["deviation"] < LEAST_DEVIATION
        or measured["effective_rank"] < LEAST_RANK
        or measured["uniformity"] > MOST_UNIFORMITY
    )
