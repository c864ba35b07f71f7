from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive_har.signals.augmentations import Identity, Resampling, resample
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.seeds import derive_seed

PAIRS = [(1, 0), (2, 1), (3, 2), (3, 0), (4, 1)]


def literal_resampling(window: np.ndarray, inserted: int, skipped: int, start: int) -> np.ndarray:
    """The definition, step by step: build the long signal, then walk over it."""
    long = [window[0]]
    for before, after in pairwise(window):
        long += [before + (after - before) * step / (inserted + 1) for step in range(1, inserted + 2)]
    assert len(long) == (len(window) - 1) * (inserted + 1) + 1
    return np.array([long[start + step * (skipped + 1)] for step in range(len(window))])


@given(pair=st.sampled_from(PAIRS), length=st.integers(8, 40), seed=st.integers(0, 1000), where=st.floats(0, 1))
def test_resampling_is_its_definition(pair: tuple[int, int], length: int, seed: int, where: float) -> None:
    inserted, skipped = pair
    windows = np.random.default_rng(seed).standard_normal((3, length, 2))
    start = round(where * ((length - 1) * (inserted + 1) + 1 - length * (skipped + 1)))
    result = resample(torch.from_numpy(windows), inserted, skipped, start).numpy()
    expected = np.stack([literal_resampling(window, inserted, skipped, start) for window in windows])
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize(("pair", "dilation"), [((1, 0), 2), ((2, 1), 1.5), ((3, 2), 4 / 3)])
def test_a_ramp_becomes_a_slower_ramp(pair: tuple[int, int], dilation: float) -> None:
    ramp = torch.arange(64, dtype=torch.float64).reshape(1, 64, 1)
    view = Resampling(inserted_and_skipped=(pair,))(ramp, torch.Generator().manual_seed(0))
    steps = view[0, 1:, 0] - view[0, :-1, 0]
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / dilation))
    assert view.min() >= 0
    assert view.max() <= 63


def test_every_pair_and_start_is_drawn() -> None:
    ramp = torch.arange(8, dtype=torch.float32).reshape(1, 8, 1)
    generator = torch.Generator().manual_seed(0)
    views = {tuple(Resampling()(ramp, generator)[0, :2, 0].tolist()) for _ in range(500)}
    starts = sum((8 - 1) * (m + 1) + 1 - 8 * (n + 1) + 1 for m, n in Resampling().inserted_and_skipped)
    assert len(views) == starts


def test_the_same_seed_draws_the_same_view() -> None:
    windows = torch.randn(4, 32, 3)
    views = [Resampling()(windows, torch.Generator().manual_seed(5)) for _ in range(2)]
    torch.testing.assert_close(*views, rtol=0, atol=0)


def test_identity() -> None:
    windows = torch.randn(4, 32, 3)
    assert Identity()(windows, torch.Generator()) is windows


@pytest.mark.parametrize("pairs", [[(1, 1)], [(1, 2)], [(1, -1)], []])
def test_pairs_that_do_not_dilate_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="M > N"):
        Resampling.model_validate({"inserted_and_skipped": pairs})


def test_normalised_windows_have_mean_zero_and_deviation_one() -> None:
    signals = np.random.default_rng(0).normal([3, -2, 100], [1, 5, 0.1], (50, 20, 3)).astype(np.float32)
    normalised = Normalisation.of(signals)(signals)
    np.testing.assert_allclose(normalised.mean((0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(normalised.std((0, 1)), 1, atol=1e-3)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    assert (
        Normalisation.of(np.ones((2, 4, 1), np.float32))(np.ones((2, 4, 1), np.float32)).tolist() == [[[0.0]] * 4] * 2
    )


def test_seeds_depend_on_every_name() -> None:
    seeds = {derive_seed(0), derive_seed(1), derive_seed(0, "a"), derive_seed(0, "a", 1), derive_seed(0, "a1")}
    assert len(seeds) == 5
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
