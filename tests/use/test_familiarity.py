"""Distances to the training windows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contrastive_har.use.familiarity import Reference, UnlikeTraining, distances_of

LENGTH, WIDTH = 20, 3


def drawn(count: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Windows whose channels have means and deviations of their own."""
    rng = np.random.default_rng(seed)
    offsets, sizes = rng.normal(size=(count, 1, WIDTH)), rng.uniform(0.5, 2, size=(count, 1, WIDTH))
    return (scale * (offsets + sizes * rng.normal(size=(count, LENGTH, WIDTH)))).astype(np.float32)


def people(count: int, *names: str) -> np.ndarray:
    return np.resize(np.array(names, object), count)


def told(window: np.ndarray) -> list[float]:
    """The statistics of one window, number by number."""
    columns = [[float(value) for value in column] for column in window.T]
    means = [sum(column) / len(column) for column in columns]
    deviations = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
        for column, mean in zip(columns, means, strict=True)
    ]
    return means + [math.log(max(deviation, 1e-6)) for deviation in deviations]


def slow_distance(own: list[float], stored: list[list[float]], ranges: list[float]) -> float:
    """The root mean square of the differences to the nearest, each divided by a range."""
    squared = (
        sum(((a - b) / wide) ** 2 for a, b, wide in zip(own, other, ranges, strict=True)) / len(own) for other in stored
    )
    return math.sqrt(min(squared))


@pytest.mark.parametrize("names", [("anna",), ("anna", "ben", "cem")])
def test_a_distance_is_that_to_the_nearest_window_by_the_limit_of_people_held_out(names: tuple[str, ...]) -> None:
    signals, of_whom = drawn(60), people(60, *names)
    training, held_out = np.arange(40), np.arange(40, 60)
    reference = Reference.of(signals, of_whom, training, held_out)
    assert reference is not None
    stored = [told(window) for window in signals[training]]
    ranges = [float(np.quantile(column, 0.95) - np.quantile(column, 0.05)) for column in zip(*stored, strict=True)]
    limits = [np.quantile([slow_distance(told(signals[index]), stored, ranges) for index in held_out], 0.99)]
    if len(names) > 1:
        of_training = []
        for index in training:
            others = [one for one, whose in zip(stored, of_whom, strict=False) if whose != of_whom[index]]
            of_training.append(slow_distance(stored[index], others, ranges))
        limits.append(np.quantile(of_training, 0.99))
    windows = np.concatenate([drawn(15, seed=1), drawn(5, seed=2, scale=9.81)])
    expected = [slow_distance(told(window), stored, ranges) / max(limits) for window in windows]
    np.testing.assert_allclose(distances_of(reference.differences(windows)), expected, rtol=1e-4)
    np.testing.assert_allclose(distances_of(reference.differences(signals[training])), 0, atol=1e-5)


def test_few_windows_of_people_held_out_are_farther_than_the_limit() -> None:
    signals = drawn(2000)
    reference = Reference.of(signals, people(2000, *"abcdefgh"), np.arange(1000), np.arange(1000, 2000))
    assert reference is not None
    assert (distances_of(reference.differences(signals[1000:])) > 1).mean() <= 0.01


def test_differences_are_by_channel() -> None:
    signals = drawn(200)
    reference = Reference.of(signals, people(200, "anna", "ben"), np.arange(150), np.arange(150, 200))
    assert reference is not None
    turned = signals[150:].copy()
    turned[:, :, 1] += 50
    differences = reference.differences(turned)
    assert differences.shape == (50, WIDTH)
    assert (differences.argmax(axis=1) == 1).all()
    assert reference.differences(turned[:0]).shape == (0, WIDTH)


def test_at_most_a_thousand_windows_are_stored_evenly_over_people() -> None:
    signals = drawn(3000)
    of_whom = np.array(["anna"] * 2700 + ["ben"] * 280 + ["cem"] * 20, object)
    marks = np.arange(3000, dtype=np.float32) * 1000
    signals += marks[:, None, None]
    once, again = (Reference.of(signals, of_whom, np.arange(3000), np.arange(0)) for _ in range(2))
    assert once is not None
    assert again is not None
    np.testing.assert_array_equal(once.statistics, again.statistics)
    found = of_whom[np.rint(once.statistics[:, 0] / 1000).astype(int)]
    assert [(found == name).sum() for name in ("anna", "ben", "cem")] == [700, 280, 20]


def test_one_person_and_nobody_held_out_give_no_reference() -> None:
    assert Reference.of(drawn(50), people(50, "anna"), np.arange(50), np.arange(0)) is None


@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_constant_channels_have_finite_distances(constant: float) -> None:
    signals = drawn(100)
    signals[:, :, 0] = constant
    reference = Reference.of(signals, people(100, "anna", "ben"), np.arange(80), np.arange(80, 100))
    assert reference is not None
    assert (distances_of(reference.differences(signals[80:])) <= 1).mean() >= 0.95
    same = Reference.of(signals[:1].repeat(9, 0), people(9, "anna", "ben"), np.arange(9), np.arange(0))
    assert same is not None
    assert (distances_of(same.differences(signals[:1])) < 1).all()
    signals[:, :, 0] = constant + 100
    assert (distances_of(reference.differences(signals)) > 1).all()
    assert np.isfinite(reference.differences(np.full((2, LENGTH, WIDTH), 1e30, np.float32))).all()


STATISTICS, SCALE = np.zeros((4, 6), np.float32), np.ones(6, np.float32)


@pytest.mark.parametrize(
    ("statistics", "scale"),
    [
        (STATISTICS[:0], SCALE),
        (STATISTICS, SCALE[1:]),
        (STATISTICS[0], SCALE),
        (STATISTICS, 0 * SCALE),
        (STATISTICS, -SCALE),
        (STATISTICS * np.float32("nan"), SCALE),
        (STATISTICS, SCALE * np.float32("inf")),
        (STATISTICS.astype(np.float64), SCALE),
    ],
)
def test_what_is_no_reference_is_refused(statistics: np.ndarray, scale: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"finite|with a scale"):
        Reference(statistics, scale)


def test_a_recording_is_described_by_the_time_and_the_channels_that_are_unlike() -> None:
    unlike = UnlikeTraining(["x", "y", "z"])
    assert unlike.describe("it") is None
    near = np.full((9, 3), 0.1)
    unlike.add(np.full(9, 2.0), near)
    unlike.add(np.full(1, 2.0), np.array([[16.0, 0.0, 9.0]]))
    assert unlike.describe("it") is None, "10 % are not much"
    unlike.add(np.ones(1), np.array([[np.nan] * 3]))
    unlike.add(np.full(1, 20.0), np.array([[64.0, 0.0, 36.0]]))
    expected = "55 % of it is unlike the training data (mean distance 9.55, mostly in x, z): check units and axes."
    assert unlike.describe("it") == expected
    only = UnlikeTraining(["x", "y", "z"])
    only.add(np.ones(2), np.array([[0.1, 99.0, 0.1]] * 2))
    assert "100 % of day is unlike the training data (mean distance 9.96, mostly in y)" in str(only.describe("day"))


def test_typical_samples_are_a_deviation_from_the_means() -> None:
    windows = np.random.default_rng(0).normal((1.0, 5.0), (0.1, 2.0), (30, 64, 2)).astype(np.float32)
    people = np.array(["a", "b"] * 15, dtype=object)
    reference = Reference.of(windows, people, np.arange(20), np.arange(20, 30))
    assert reference is not None
    np.testing.assert_allclose(np.abs(reference.typical - (1.0, 5.0)).mean(axis=0), (0.1, 2.0), rtol=0.1)
    np.testing.assert_allclose(
        np.sort(reference.typical, axis=0)[-1], (windows.mean(1) + windows.std(1))[:20].max(0), rtol=1e-4
    )
