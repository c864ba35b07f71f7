"""Encoders and heads to the recogniser for use."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastive_har.protocols import RegistrationPlan
from contrastive_har.scores.cells import by_cell, by_split
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.recognisers import choose_recogniser as choose
from contrastive_har.use.validation import complete_recogniser


def choose_recogniser(
    windows: Windows, scores: pd.DataFrame, plan: RegistrationPlan, *, protocol: str, **trained: Any
) -> TrainedRecogniser:
    """Choose a recogniser by its validation scores, and fit its temperature and the distance to its training windows.

    Args:
        windows: The windows of the protocol.
        scores: Scores of the whole protocol.
        plan: The label budget of the recogniser.
        protocol: Name of the protocol.
        **trained: Encoders and heads of the cells and roles of the splits, by the names of the artifacts.
    """
    chosen = choose(
        windows, protocol, by_cell(trained, "encoders"), by_cell(trained, "heads"), scores, plan.label_budget
    )
    return complete_recogniser(chosen, windows, by_split(trained, "roles"))


def register_recogniser(recogniser: TrainedRecogniser) -> TrainedRecogniser:
    """Return the recogniser as it is stored, for MLflow's registry."""
    return recogniser
