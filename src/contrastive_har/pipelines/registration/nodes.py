"""Encoders and heads to the one model for use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastive_har.scores.cells import Cell
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.recognisers import choose_recogniser as choose


def choose_recogniser(
    windows: Windows, scores: pd.DataFrame, *, protocol: str, **trained: Any
) -> tuple[TrainedRecogniser, TrainedRecogniser]:
    """Choose by validation; return it once to be stored and once to be registered.

    Args:
        windows: What everything learned from.
        scores: Of the whole protocol.
        protocol: Its name.
        **trained: Encoders and heads, by the names of the artifacts.
    """
    found: dict[str, dict[Cell, Any]] = {"encoders": {}, "heads": {}}
    for name, value in trained.items():
        namespace, _, kind = name.rpartition(".")
        if cell := Cell.parse(namespace):
            found[kind][cell] = value
    recogniser = choose(windows, protocol, found["encoders"], found["heads"], scores)
    return recogniser, recogniser
