"""Rocket's random kernels: how they are drawn, and what they make of a window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from contrastive_har.models.encoders.rocket import Rocket, RocketSettings
from tests.models.examples import Array, array, exported

TIME, CHANNELS = 50, 4


def make(kernels: int, length: int = TIME, channels: int = CHANNELS, seed: int = 0) -> Rocket:
    torch.manual_seed(seed)
    encoder = RocketSettings(kernels=kernels).build(channels, length)
    encoder.calibrate(torch.randn(20, length, channels))
    return encoder


def windows(count: int = 3) -> Tensor:
    return torch.randn(count, TIME, CHANNELS, generator=torch.Generator().manual_seed(1)).cumsum(1) / 3


def literal(encoder: Rocket, window: Array) -> list[float]:
    """The share of positive values of every kernel, then their maxima, sample by sample."""
    shares, maxima = [], []
    parts = zip(array(encoder.weights), array(encoder.biases), encoder.shapes.tolist(), strict=True)
    for weights, bias, (length, dilation, padded) in parts:
        reach = (length - 1) * dilation
        padding = reach // 2 if padded else 0
        values = []
        for start in range(-padding, TIME + padding - reach):
            value = bias
            for tap in range(length):
                time = start + tap * dilation
                if 0 <= time < TIME:
                    value += (weights[:, tap] * window[time]).sum()
            values.append(value)
        shares.append(np.mean([value > 0 for value in values]))
        maxima.append(max(values))
    return [*shares, *maxima]


def test_it_is_its_definition() -> None:
    encoder = make(200)
    found = encoder.compute(windows())
    assert found.shape == (3, encoder.features) == (3, 400)
    for features, window in zip(array(found), array(windows()), strict=True):
        np.testing.assert_allclose(features, literal(encoder, window), atol=1e-4)
    torch.testing.assert_close(encoder(windows()), (found - encoder.mean) / encoder.deviation)


def test_kernels_are_drawn_as_published() -> None:
    encoder = make(10_000, length=128, channels=6)
    lengths, dilations, padded = encoder.shapes.double().unbind(1)
    assert sorted(lengths.unique().tolist()) == [7, 9, 11]
    for length in (7, 9, 11):
        assert (lengths == length).double().mean().item() == pytest.approx(1 / 3, abs=0.02)
        # The exponent of a dilation d is between log2(d) and log2(d + 1), of those up to the largest one.
        largest = np.log2(127 / (length - 1))
        for dilation in (1, 2, 5, int(2**largest)):
            share = (min(np.log2(dilation + 1), largest) - np.log2(dilation)) / largest
            found = (dilations[lengths == length] == dilation).double().mean().item()
            assert found == pytest.approx(share, abs=0.02)
    assert ((lengths - 1) * dilations < 128).all()
    assert padded.mean().item() == pytest.approx(0.5, abs=0.02)
    assert encoder.biases.mean().item() == pytest.approx(0, abs=0.02)
    assert encoder.biases.var().item() == pytest.approx(1 / 3, abs=0.02)
    assert encoder.biases.abs().max() <= 1


def test_weights_are_normal_less_their_mean_on_a_subset_of_the_channels() -> None:
    encoder = make(10_000, length=128, channels=6)
    sizes = (encoder.weights != 0).any(2).sum(1)
    limit = np.log2(7)  # channels are fewer than the weights of a kernel
    for size in range(1, 7):
        share = (np.log2(size + 1) - np.log2(size)) / limit
        assert (sizes == size).double().mean().item() == pytest.approx(share, abs=0.02)
    for length in (7, 9, 11):
        weights = encoder.weights[encoder.shapes[:, 0] == length]
        assert not weights[..., length:].any()
        used = weights[..., :length][(weights != 0).any(2)]
        torch.testing.assert_close(used.mean(1), torch.zeros(len(used)), atol=1e-6, rtol=0)
        # Of normal numbers less their mean, the squares sum up to one less than there are numbers.
        assert used.square().sum(1).mean().item() == pytest.approx(length - 1, rel=0.05)
        assert (used**3).mean().abs().item() < 0.1


def test_kernels_follow_the_seed_and_survive_storage() -> None:
    encoder, again, other = make(100), make(100), make(100, seed=1)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.allclose(encoder(windows()), other(windows()))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(windows()), other(windows()))


@pytest.mark.parametrize("shape", [(8, 1, 0), (7, 0, 0), (7, -1, 1), (7, 9, 0), (11, 5, 1), (7, 1, 2), (7, 1, -1)])
def test_kernels_that_do_not_fit_a_window_are_refused(shape: tuple[int, int, int]) -> None:
    encoder = make(100)
    state = encoder.state_dict()
    encoder.load_state_dict(state)
    state["shapes"][5] = torch.tensor(shape)
    with pytest.raises(ValueError, match=r"do not fit windows of 50 samples\. Train it again"):
        encoder.load_state_dict(state)


def test_few_kernels_are_convolved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the outputs of all kernels of one shape would need much memory."""
    seen: list[int] = []
    convolve = functional.conv1d

    def count(signals: Tensor, weights: Tensor, *others: object, **more: object) -> Tensor:
        seen.append(len(weights))
        return convolve(signals, weights, *others, **more)

    encoder = make(2000)
    monkeypatch.setattr(functional, "conv1d", count)
    monkeypatch.setattr("contrastive_har.models.encoders.rocket._AT_ONCE", 32 * TIME)
    encoder.compute(windows())
    assert sum(seen) == 2000
    assert max(seen) == 32


@pytest.mark.parametrize(("length", "channels"), [(11, 1), (11, 45), (512, 3)])
def test_any_window_that_spans_a_kernel_is_long_enough(length: int, channels: int) -> None:
    encoder = make(60, length, channels)
    assert torch.isfinite(encoder(torch.randn(2, length, channels))).all()
    with pytest.raises(ValueError, match=f"which needs {length}"):
        encoder(torch.randn(2, length - 1, channels))
    assert RocketSettings().shortest_window == 11
    assert RocketSettings().kernels == 10_000


def test_it_is_exported() -> None:
    encoder = make(16).eval()
    torch.testing.assert_close(exported(encoder, windows(5)), encoder(windows(5)), atol=1e-4, rtol=1e-4)
