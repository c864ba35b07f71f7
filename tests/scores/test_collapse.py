"""When embeddings count as collapsed."""

from __future__ import annotations

import numpy as np
import pytest

from contrastive_har.scores.collapse import has_collapsed

GOOD = {"deviation": 0.5, "effective_rank": 20.0, "uniformity": -2.0}


@pytest.mark.parametrize(
    ("name", "limit", "inside"), [("deviation", 0.05, 0.06), ("effective_rank", 1.5, 1.6), ("uniformity", -0.05, -0.06)]
)
def test_each_measure_shows_collapse_beyond_its_limit(name: str, limit: float, inside: float) -> None:
    assert not has_collapsed(GOOD)
    assert not has_collapsed({**GOOD, name: limit})
    assert not has_collapsed({**GOOD, name: inside})
    assert has_collapsed({**GOOD, name: 2 * limit - inside})
    assert not has_collapsed({**GOOD, name: np.nan}), "what is not known shows nothing"
