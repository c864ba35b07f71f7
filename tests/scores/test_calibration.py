"""Calibration error against a literal computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from contrastive_har.scores.calibration import calibration_error, reliability


def slow_error(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Equation 3 of Guo et al. 2017, over bins ((m - 1) / 15, m / 15]."""
    total = 0.0
    for number in range(1, 16):
        right, confidence, count = 0, 0.0, 0
        for row, true in zip(probabilities.tolist(), classes.tolist(), strict=True):
            largest = max(row)
            if (number - 1) / 15 < largest <= number / 15:
                right += row.index(largest) == true
                confidence += largest
                count += 1
        if count:
            total += count / len(classes) * abs(right / count - confidence / count)
    return total


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 5.0])
def test_the_error_is_that_of_the_definition(sharpness: float) -> None:
    rng = np.random.default_rng(0)
    probabilities = softmax(sharpness * rng.normal(size=(500, 4)), axis=1)
    classes = rng.integers(0, 4, 500)
    bins = reliability(probabilities, classes)
    assert calibration_error(bins) == pytest.approx(slow_error(probabilities, classes))
    assert bins["windows"].sum() == 500
    assert bins["accuracy"].between(0, 1).all()
    assert bins["confidence"].is_monotonic_increasing


def test_closed_forms() -> None:
    certain = np.eye(2, dtype=np.float32)[[0] * 10]
    assert calibration_error(reliability(certain, np.zeros(10, np.int64))) == 0
    assert calibration_error(reliability(certain, np.ones(10, np.int64))) == 1
    chances = np.tile(np.array([[0.7, 0.3]]), (10, 1))
    assert calibration_error(reliability(chances, np.repeat([0, 1], [7, 3]))) == pytest.approx(0)
    assert calibration_error(reliability(chances, np.repeat([0, 1], [5, 5]))) == pytest.approx(0.2)
