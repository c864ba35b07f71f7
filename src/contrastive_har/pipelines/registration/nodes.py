"""Encoders and classifiers to the one model for use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastive_har.learning.recognisers import TrainedRecogniser
from contrastive_har.learning.recognisers import choose_recogniser as choose
from contrastive_har.signals.windows import Windows


def choose_recogniser(
    windows: Windows, scores: pd.DataFrame, *, protocol: str, **trained: Any
) -> tuple[TrainedRecogniser, TrainedRecogniser]:
    """Choose by validation; return it once to be stored and once to be registered.

    Args:
        windows: What everything learned from.
        scores: Of the whole protocol.
        protocol: Its name.
        **trained: Encoders and classifiers, as ``<split>.<method>.encoders`` and ``<split>.<method>.classifiers``.
    """
    found: dict[str, dict[tuple[str, str], Any]] = {"encoders": {}, "classifiers": {}}
    for name, value in trained.items():
        split, method, kind = name.split(".")
        found[kind][split, method] = value
    recogniser = choose(windows, protocol, found["encoders"], found["classifiers"], scores)
    return recogniser, recogniser
