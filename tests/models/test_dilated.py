"""TS2Vec's encoder against its layers written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from contrastive_har.models.encoders.dilated import Dilated, DilatedSettings

SMALL = DilatedSettings(hidden=4, features=6, blocks=2, kernel=3, dropout=0)


def made(settings: DilatedSettings = SMALL) -> Dilated:
    torch.manual_seed(0)
    return settings.build(3, 20).double().eval()


def gelu(x: np.ndarray) -> np.ndarray:
    return np.asarray(torch.nn.functional.gelu(torch.from_numpy(x)).numpy())


def convolve(layer: torch.nn.Conv1d, x: np.ndarray, dilation: int) -> np.ndarray:
    """A padded convolution of one window (features, time), one output at a time."""
    assert layer.bias is not None
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    reach = weight.shape[2] // 2
    made = np.zeros((len(weight), x.shape[1]))
    for output in range(len(weight)):
        for time in range(x.shape[1]):
            made[output, time] = bias[output]
            for tap in range(weight.shape[2]):
                sample = time + (tap - reach) * dilation
                if 0 <= sample < x.shape[1]:
                    made[output, time] += weight[output, :, tap] @ x[:, sample]
    return made


@pytest.mark.parametrize("hides", [False, True])
def test_it_is_its_layers(hides: bool) -> None:
    encoder = made()
    windows = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden = torch.arange(40).view(2, 20) % 3 == 0 if hides else None
    found = encoder.sequence(windows, hidden).detach().numpy()
    for index, window in enumerate(windows.numpy()):
        x = window @ encoder.project.weight.detach().numpy().T + encoder.project.bias.detach().numpy()
        if hidden is not None:
            x[hidden[index].numpy()] = 0
        x = x.T
        for number, block in enumerate(encoder.blocks):
            convolved = convolve(block.first, gelu(x), 2**number)  # type: ignore[arg-type]
            convolved = convolve(block.second, gelu(convolved), 2**number)  # type: ignore[arg-type]
            shortcut = block.shortcut
            x = convolved + (convolve(shortcut, x, 1) if isinstance(shortcut, torch.nn.Conv1d) else x)
        np.testing.assert_allclose(found[index], x.T, rtol=1e-9)
        if not hides:
            np.testing.assert_allclose(encoder(windows)[index].detach(), x.max(1), rtol=1e-9)


def test_stages_are_its_parts_and_any_length_is_embedded() -> None:
    encoder = made()
    assert encoder.depth == SMALL.depth == 4
    assert encoder(torch.randn(2, 1, 3).double()).shape == (2, 6)
    assert made(DilatedSettings()).depth == 12
    with pytest.raises(ValidationError, match="kernel 4 must be odd"):
        DilatedSettings(kernel=4)
