"""Calibration: a temperature with which probabilities are as often right as they say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contrastive_har.strict import StrictModel

_FEWEST = 50  # windows that a temperature is fitted to
_WIDEST = 20.0  # a temperature is between 1 / 20 and 20


class Calibration(StrictModel):
    """The temperature of a recogniser's probabilities.

    Attributes:
        temperature: Number that scores are divided by before their softmax.
        windows: Number of validation windows it was fitted to.
        reason: Why it is 1 instead of fitted; None if it was fitted.
    """

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    windows: int = Field(default=0, ge=0)
    reason: str | None = "there were no validation windows"


def calibrate(scores: NDArray[np.float32], classes: NDArray[np.int64], sharpens: bool = True) -> Calibration:
    """Fit a temperature, as Guo et al. 2017 (On Calibration of Modern Neural Networks, arXiv 1706.04599) do.

    It minimises the mean negative log-likelihood of ``softmax(scores / temperature)``, which has one minimum only: it
    is convex in the inverse of the temperature.

    Args:
        scores: Scores of the classes before the softmax (windows, classes).
        classes: True class indices (windows,).
        sharpens: Whether it may be below 1, which makes probabilities surer. Where scores are log-probabilities
            already, the people by whom a recogniser was chosen, those of whom it recognises most, are no reason for
            that.

    Returns:
        The temperature. It is 1 with fewer than 50 windows, without windows of some class, if every window is
        recognised, so that any lower temperature is better, and where the minimum is not between 1/20 and 20.
    """
    from scipy.optimize import minimize_scalar  # not needed where a recogniser is served

    count, missing = len(classes), scores.shape[1] - len(np.unique(classes))
    if count < _FEWEST:
        return Calibration(windows=count, reason=f"fewer than {_FEWEST} validation windows")
    if missing:
        return Calibration(windows=count, reason=f"{missing} of the activities without validation windows")
    if (scores.argmax(axis=1) == classes).all():
        return Calibration(windows=count, reason="every validation window is recognised")
    if not math.isfinite(_negative_log_likelihood(scores, classes, 1.0)):
        return Calibration(windows=count, reason="the true activity of a validation window has the probability 0")
    limit = math.log(_WIDEST)
    lowest = -limit if sharpens else 0.0
    found = minimize_scalar(
        lambda logarithm: _negative_log_likelihood(scores, classes, math.exp(logarithm)),
        bounds=(lowest, limit),
        method="bounded",
        options={"xatol": 1e-6},
    )
    if not sharpens and found.x < 1e-3:
        return Calibration(windows=count, reason="a lower one would fit, to people by whom the recogniser was chosen")
    if abs(found.x) > 0.999 * limit:
        return Calibration(windows=count, reason=f"the best temperature is not between 1/{_WIDEST:g} and {_WIDEST:g}")
    return Calibration(temperature=math.exp(found.x), windows=count, reason=None)


def _negative_log_likelihood(scores: NDArray[np.float32], classes: NDArray[np.int64], temperature: float) -> float:
    """Return the mean over windows."""
    scaled = scores.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    logarithms = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(classes)), classes]
    return float(logarithms.mean())
