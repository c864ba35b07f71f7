"""Complexity of the recognisers of all rows: networks of one architecture are measured once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
import torch

from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.models import complexity as primitives
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.windows import Windows
from contrastive_har.use import complexity
from contrastive_har.use.complexity import COMPLEXITY_COLUMNS, measure_complexity
from contrastive_har.use.recognisers import combine
from tests.learning.examples import TWO, in_modalities
from tests.use.test_alternatives import head
from tests.use.test_recognisers import make_encoders

CMC, SIMCLR, ROCKET = (Cell("p", "unseen", method) for method in ("cmc", "simclr", "rocket"))


@pytest.fixture(scope="module")
def both(windows: Windows) -> Windows:
    return in_modalities(windows, *TWO)


def other_budget(one: TrainedHead) -> TrainedHead:
    return replace(one, facts=one.facts.model_copy(update={"label_budget": "5 %"}))


def test_rows_are_methods_and_evaluations(both: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[Recogniser] = []

    def time_batches(networks: Sequence[Recogniser], batches: Sequence[torch.Tensor]) -> list[float]:
        timed.extend(networks)
        assert [tuple(batch.shape) for batch in batches] == [(32, both.length, 3), (32, both.length, 1), (32, 64, 3)]
        return [1.0, 2.0, 3.0]

    monkeypatch.setattr(complexity, "time_batches", time_batches)
    tpn, rocket = make_encoders(both), make_encoders(both, "minirocket")
    heads = {
        CMC: [head(tpn, 0, 0.5), other_budget(head(tpn, 0, 0.4)), head(tpn, 1, 0.4), head(tpn, 0, None, ("hand",))],
        SIMCLR: [head(tpn, 0, 0.5)],
        ROCKET: [head(rocket, 0, 0.5)],
    }
    state = torch.get_rng_state()
    table = measure_complexity(both, {CMC: tpn, SIMCLR: tpn, ROCKET: rocket}, heads)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random state is left alone"
    assert list(table.columns) == COMPLEXITY_COLUMNS
    rows = [("cmc", "linear", 1.0), ("cmc", "linear/hand", 2.0), ("simclr", "linear", 1.0), ("rocket", "linear", 3.0)]
    assert list(table[["method", "evaluation", "milliseconds"]].itertuples(index=False, name=None)) == rows
    sizes = table.set_index(["method", "evaluation"]).drop(columns="milliseconds")
    pd.testing.assert_series_equal(sizes.loc[("cmc", "linear")], sizes.loc[("simclr", "linear")], check_names=False)
    for row, network in zip((0, 1, 3), timed, strict=True):
        window = torch.zeros(1, both.length, network.backbone.layout.width)
        measured = primitives.measure_size(network, window)
        assert tuple(table.iloc[row, 2:5]) == (measured.parameters, measured.state_bytes, measured.multiply_adds)
    architecture, weights = combine(tpn, heads[CMC][0], both)
    assert table["state_bytes"][0] == sum(values.nbytes for values in weights.values())
    assert table["parameters"][0] == sum(one.numel() for one in architecture.build(weights).parameters())


def test_without_heads_there_are_no_rows(windows: Windows) -> None:
    table = measure_complexity(windows, {}, {})
    assert table.empty
    assert list(table.columns) == COMPLEXITY_COLUMNS
