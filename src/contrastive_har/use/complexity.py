"""What it takes to use the recognisers of all methods: their size, the arithmetic of a window, and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd
import torch

from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.models.complexity import BATCH, measure_size, time_batches
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import combine

COMPLEXITY_COLUMNS = ["method", "evaluation", "parameters", "state_bytes", "multiply_adds", "milliseconds"]


def measure_complexity(
    windows: Windows, encoders: Mapping[Cell, EncoderSet], heads: Mapping[Cell, list[TrainedHead]]
) -> pd.DataFrame:
    """Measure the first repeat's recogniser of each method and evaluation.

    Networks of one architecture are measured once. Label budgets and repeats change weights only.

    Args:
        windows: Windows of the protocol.
        encoders: Encoders by cell, of one split.
        heads: Heads by cell.

    Returns:
        One row per method and evaluation: the attributes of :class:`~contrastive_har.models.complexity.Size`, and the
        milliseconds of a batch of 32 windows on one thread.
    """
    networks: dict[str, Recogniser] = {}
    architectures: dict[tuple[str, str], str] = {}
    for cell, of_cell in heads.items():
        for head in of_cell:
            row = (cell.method, head.facts.evaluation)
            if row in architectures:
                continue
            architecture, weights = combine(encoders[cell], head, windows)
            architectures[row] = architecture.model_dump_json()
            if architectures[row] not in networks:
                networks[architectures[row]] = architecture.build(weights)
    with seeded(0):  # values change neither arithmetic nor time
        batches = [torch.randn(BATCH, windows.length, one.backbone.layout.width) for one in networks.values()]
    times = time_batches(list(networks.values()), batches)
    measured = {
        name: {**asdict(measure_size(network, batch[:1])), "milliseconds": taken}
        for (name, network), batch, taken in zip(networks.items(), batches, times, strict=True)
    }
    rows = [
        {"method": method, "evaluation": evaluation, **measured[name]}
        for (method, evaluation), name in architectures.items()
    ]
    return pd.DataFrame(rows, columns=COMPLEXITY_COLUMNS)
