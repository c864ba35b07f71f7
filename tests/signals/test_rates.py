"""Resampling of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from contrastive_har.signals.rates import Resampler


def resample(seconds: np.ndarray, samples: np.ndarray, source: float, target: float, cuts: list[int]) -> np.ndarray:
    resampler = Resampler(source, target)
    pieces = zip(np.split(seconds, cuts), np.split(samples, cuts), strict=True)
    parts = [resampler.push(*piece) for piece in pieces]
    return np.concatenate([*parts, resampler.finish()])


def wave(seconds: np.ndarray, hertz: float) -> np.ndarray:
    return np.stack([np.sin(2 * np.pi * hertz * seconds), np.cos(2 * np.pi * hertz * seconds)], axis=1)


@pytest.mark.parametrize(("source", "target"), [(100.0, 50.0), (50.0, 50.0), (20.0, 50.0), (52.0, 50.0)])
def test_pieces_change_nothing(source: float, target: float) -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(400) / source
    samples = rng.standard_normal((400, 3))
    whole = resample(seconds, samples, source, target, [])
    for cuts in ([200], [1, 2, 3, 399], sorted(rng.integers(1, 400, 30))):
        np.testing.assert_array_equal(resample(seconds, samples, source, target, list(cuts)), whole)
    assert len(whole) == int(seconds[-1] * target + 1e-6) + 1


def test_the_models_own_rate_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((300, 2)).astype(np.float32)
    for begin in (0.0, 1.7e9):
        found = resample(begin + np.arange(300) / 50, samples.astype(float), 50, 50, [100])
        np.testing.assert_allclose(found, samples, atol=1e-4)


@pytest.mark.parametrize("source", [25.0, 60.0, 100.0, 208.0])
def test_slow_waves_pass_without_delay(source: float) -> None:
    seconds = np.arange(round(20 * source)) / source
    found = resample(seconds, wave(seconds, 1.5), source, 50, [])
    inner = slice(50, -50)
    np.testing.assert_allclose(found[inner], wave(np.arange(len(found)) / 50, 1.5)[inner], atol=0.03)


def test_what_the_new_rate_cannot_show_is_removed() -> None:
    seconds = np.arange(4000) / 200
    found = resample(seconds, wave(seconds, 45), 200, 50, [])  # would be folded onto 5 Hz
    assert np.abs(found[50:-50]).max() < 0.01


def test_irregular_samples_are_put_at_their_own_times() -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(1000) / 50 + rng.uniform(-0.005, 0.005, 1000)
    found = resample(seconds, seconds[:, None] * 3, 50, 50, [500])
    expected = 3 * (seconds[0] + np.arange(len(found)) / 50)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)
