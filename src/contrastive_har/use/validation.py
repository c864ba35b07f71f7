"""What the people who were held out for validation tell about a recogniser: when its probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from contrastive_har.models.recogniser import Recogniser
from contrastive_har.scores.calibration import reliability
from contrastive_har.signals.budgets import parse_budget
from contrastive_har.signals.roles import Role, Roles
from contrastive_har.signals.sensors import AND
from contrastive_har.signals.windows import Windows
from contrastive_har.use.calibration import Calibration, calibrate
from contrastive_har.use.familiarity import Reference
from contrastive_har.use.recognisers import Origin, TrainedRecogniser, recognise

_BATCH = 1024
_ASSESSED: tuple[Role, ...] = ("validation", "test")


def complete_recogniser(
    recogniser: TrainedRecogniser, windows: Windows, roles: Mapping[str, Roles]
) -> TrainedRecogniser:
    """Return a recogniser and its alternatives with their temperatures and references.

    No test windows are used, not even where the encoders were pre-trained on them.

    Args:
        recogniser: A recogniser as it was chosen.
        windows: Windows of its protocol.
        roles: Roles of the windows by split.
    """
    own = windows.only(recogniser.modalities)
    pretrain, train, validation, test = (
        members_for(recogniser.origin, roles, role) for role in ("pretrain", "train", "validation", "test")
    )
    training = np.setdiff1d(np.union1d(pretrain, train), np.union1d(validation, test))
    people = own.table["subject"].to_numpy(object)
    scores = score_windows(recogniser.build(), own.signals[validation])
    sharpens = not recogniser.architecture.head.has_likelihood
    return replace(
        recogniser,
        calibration=calibrate(scores, own.classes()[validation], sharpens),
        reference=Reference.of(own.signals, people, training, validation),
        alternatives=tuple(complete_recogniser(one, windows, roles) for one in recogniser.alternatives),
    )


def assess_calibration(recogniser: TrainedRecogniser, windows: Windows, roles: Mapping[str, Roles]) -> pd.DataFrame:
    """Compare the probabilities of a recogniser and its alternatives with how often they are right.

    Args:
        recogniser: A recogniser with its temperature.
        windows: Windows of its protocol.
        roles: Roles of the windows by split.

    Returns:
        The bins of :func:`~contrastive_har.scores.calibration.reliability` by modalities, role (validation, test)
        and whether the temperature was applied (calibrated), with the temperature and why it was not fitted (reason).
    """
    tables = []
    for one, role in product((recogniser, *recogniser.alternatives), _ASSESSED):
        own, members = windows.only(one.modalities), members_for(one.origin, roles, role)
        signals, classes = own.signals[members], own.classes()[members]
        for calibration in (Calibration(), one.calibration):
            bins = reliability(recognise(replace(one, calibration=calibration).build(), signals), classes)
            bins = bins.assign(
                modalities=AND.join(one.modalities), role=role, calibrated=calibration is one.calibration
            )
            tables.append(bins.assign(temperature=one.calibration.temperature, reason=one.calibration.reason))
    return pd.concat(tables, ignore_index=True)


def score_windows(network: Recogniser, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores (windows, classes) of raw ``windows`` (windows, time, channels), before temperature and softmax."""
    with torch.inference_mode():
        scores: NDArray[np.float32] = torch.cat(
            [network.score(part) for part in torch.from_numpy(windows).split(_BATCH)]
        ).numpy()
    return scores


def members_for(origin: Origin, roles: Mapping[str, Roles], role: Role) -> NDArray[np.int64]:
    """Return the windows of a role in the split and repeat of a recogniser, with its labels."""
    return roles[origin.split].members(origin.repeat, role, parse_budget(origin.label_budget))
