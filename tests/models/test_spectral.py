"""Convolutions on short-time spectra, against numpy's Fourier transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from contrastive_har.models.encoders.spectral import SpectralSettings, spectra
from tests.models.examples import exported, parameters

SMALL: dict[str, Any] = {"segment": 10, "hop": 4, "channels": (5, 4)}


@pytest.mark.parametrize(("length", "segment", "hop"), [(50, 10, 4), (32, 32, 8), (40, 9, 3)])
def test_spectra_are_those_of_numpy(length: int, segment: int, hop: int) -> None:
    windows = torch.randn(3, length, 2, dtype=torch.float64) + 5
    found = spectra(windows, segment, hop, floor=1e-9)
    starts = range(0, length - segment + 1, hop)
    frequencies = segment // 2 + 1
    assert found.shape == (3, 2 * frequencies, len(starts))
    hann = np.sin(np.pi * (np.arange(segment) + 0.5) / segment) ** 2
    for window in range(3):
        for channel in range(2):
            for number, start in enumerate(starts):
                samples = windows[window, start : start + segment, channel].numpy()
                power = np.abs(np.fft.rfft((samples - samples.mean()) * hann)) ** 2 / segment
                expected = [samples.mean(), *(np.log(power[1:]) / 4)]
                of_channel = found[window, channel * frequencies : (channel + 1) * frequencies, number]
                np.testing.assert_allclose(of_channel.numpy(), expected, rtol=1e-9)


def test_a_tone_stands_at_its_frequency_and_silence_at_the_floor() -> None:
    time = torch.arange(64, dtype=torch.float64)
    windows = torch.stack([torch.sin(2 * torch.pi * 5 / 32 * time), torch.full((64,), -3.0).double()], dim=1)[None]
    found = spectra(windows, segment=32, hop=16, floor=1e-4)[0].reshape(2, 17, -1)
    assert (found[0, 1:].argmax(0) + 1 == 5).all()
    assert torch.equal(found[1, 0], torch.full((3,), -3.0).double()), "the sign of a tilt is kept"
    torch.testing.assert_close(found[1, 1:], torch.full((16, 3), np.log(1e-4) / 4).double())


def test_it_agrees_with_plain_layers_and_all_gradients_flow() -> None:
    torch.manual_seed(0)
    encoder = SpectralSettings(**SMALL).build(3, 50).double()
    windows = torch.randn(6, 50, 3, dtype=torch.float64)
    activations = spectra(windows, 10, 4, 1e-4)
    for block in encoder.blocks:
        activations = functional.conv1d(functional.pad(activations, (1, 1)), block[0].weight, block[0].bias).clamp(
            min=0
        )
    expected = torch.cat([activations.mean(2), activations.max(2).values], dim=1)
    found = encoder(windows)
    assert found.shape == (6, encoder.features) == (6, 8)
    torch.testing.assert_close(found, expected)
    (found * torch.randn_like(found)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in encoder.parameters())


def test_silent_windows_have_finite_gradients() -> None:
    windows = torch.zeros(2, 50, 3, requires_grad=True)
    SpectralSettings(**SMALL).build(3, 50)(windows).sum().backward()
    assert windows.grad is not None
    assert torch.isfinite(windows.grad).all()


def test_it_has_its_number_of_parameters() -> None:
    assert parameters(SpectralSettings().build(6, 128)) == (6 * 17 * 3 + 1) * 128 + (128 * 3 + 1) * 128


def test_dropout_is_of_training_only() -> None:
    torch.manual_seed(0)
    encoder = SpectralSettings(dropout=0.5, **SMALL).build(3, 50)
    windows = torch.randn(3, 50, 3)
    assert not torch.equal(encoder(windows), encoder(windows))
    assert torch.equal(encoder.eval()(windows), encoder(windows))


@pytest.mark.parametrize("changes", [{"kernel": 2}, {"segment": 1}, {"hop": 0}, {"floor": 0}, {"channels": ()}])
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SpectralSettings(**changes)


def test_a_window_needs_a_segment() -> None:
    encoder = SpectralSettings(**SMALL).build(3, 50)
    assert encoder(torch.randn(2, 10, 3)).shape == (2, 8)
    with pytest.raises(ValueError, match=r"9 samples .* which needs 10\. Lengthen windows\.length"):
        encoder(torch.randn(2, 9, 3))


def test_it_exports() -> None:
    encoder = SpectralSettings(**SMALL).build(6, 50).eval()
    windows = torch.randn(5, 50, 6)
    torch.testing.assert_close(exported(encoder, windows), encoder(windows).detach(), atol=1e-5, rtol=0)
