"""Resampling of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from contrastive_har.signals.rates import Resampler
from contrastive_har.sources import clocks


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


def test_nearly_the_same_rate_is_filtered_neither_to_train_nor_to_recognise() -> None:
    """Recordings that are trained on go through ``clocks.resample``, those that are recognised through the stream."""
    for source, is_filtered in ((50.2, False), (52.0, False), (53.0, True)):
        seconds = np.arange(800) / source
        samples = wave(seconds, 20.0)
        wanted = np.arange(int(seconds[-1] * 50)) / 50
        plain = np.stack([np.interp(wanted, seconds, column) for column in samples.T], axis=1)
        streamed = resample(seconds, samples, source, 50.0, [])[: len(wanted)]
        stored = clocks.resample(wanted, seconds, samples, source, 50.0)
        inner = slice(100, -100)  # of a filter's borders
        assert np.allclose(streamed[inner], plain[inner], atol=1e-3) != is_filtered
        assert np.allclose(stored[inner], plain[inner], atol=1e-3) != is_filtered


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
