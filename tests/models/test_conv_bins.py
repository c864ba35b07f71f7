"""Convolutions pooled in parts of a window, against literal loops."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from contrastive_har.models.encoders.conv_bins import ConvBins, ConvBinsSettings, pool_bins
from contrastive_har.models.layers.differences import differences
from contrastive_har.models.layers.dropout import Dropout
from tests.models.examples import exported, parameters

SMALL: dict[str, Any] = {"channels": (4, 5), "kernels": (3, 5)}


def samples_of(part: int, bins: int, length: int) -> list[int]:
    """The samples that are at least partly within a part of the window."""
    return [time for time in range(length) if (time + 1) * bins > part * length and time * bins < (part + 1) * length]


@pytest.mark.parametrize(("length", "bins"), [(8, 4), (50, 4), (11, 3), (3, 3), (7, 1)])
def test_pooling_is_over_the_samples_of_each_part(length: int, bins: int) -> None:
    activations = torch.randn(2, 3, 1, length, dtype=torch.float64)
    found = pool_bins(activations, bins, "both")
    expected = [
        [
            take(window[channel][0][time].item() for time in samples_of(part, bins, length))
            for take in (fmean, max)
            for channel in range(3)
            for part in range(bins)
        ]
        for window in activations
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(torch.cat([pool_bins(activations, bins, kind) for kind in ("mean", "max")], 1), found)


def test_differences_begin_with_zero() -> None:
    windows = torch.tensor([[[1.0, 5.0], [4.0, 3.0], [6.0, 3.0]]])
    assert differences(windows).tolist() == [[[0, 0], [3, -2], [2, 0]]]
    assert differences(windows[:, :1]).tolist() == [[[0, 0]]]


def literal(encoder: ConvBins, windows: torch.Tensor) -> torch.Tensor:
    """One-dimensional convolutions with zeros at both ends."""
    activations = windows.transpose(1, 2)
    if encoder.settings.differences:
        moved = torch.zeros_like(activations)
        for time in range(1, windows.shape[1]):
            moved[..., time] = activations[..., time] - activations[..., time - 1]
        activations = torch.cat([activations, moved], dim=1)
    for block in encoder.blocks:
        convolution = block[0]
        padded = functional.pad(activations, (convolution.kernel_size[1] // 2,) * 2)
        activations = functional.conv1d(padded, convolution.weight.squeeze(2), convolution.bias)
        if encoder.settings.batch_norm:
            mean, variance = activations.mean((0, 2), keepdim=True), activations.var((0, 2), False, keepdim=True)
            activations = (activations - mean) / (variance + block[1].eps).sqrt()
        activations = activations.clamp(min=0)
    return pool_bins(activations.unsqueeze(2), encoder.settings.bins, encoder.settings.pooling)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("with_differences", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "max", "both"])
def test_it_agrees_with_plain_layers_and_all_gradients_flow(
    pooling: str, with_differences: bool, batch_norm: bool
) -> None:
    torch.manual_seed(0)
    settings = ConvBinsSettings(pooling=pooling, differences=with_differences, batch_norm=batch_norm, **SMALL)
    encoder = settings.build(6, 22).double()
    windows = torch.randn(8, 22, 6, dtype=torch.float64)
    fast, slow = encoder(windows), literal(encoder, windows)
    assert fast.shape == (8, encoder.features) == (8, 5 * 4 * (2 if pooling == "both" else 1))
    torch.testing.assert_close(fast, slow)
    # Batch normalisation takes a bias away again: it learns nothing then.
    names = ["weight"] if batch_norm else ["weight", "bias"]
    learned = [getattr(block[0], name) for block in encoder.blocks for name in names]
    direction = torch.randn_like(fast)
    for mine, theirs in zip(
        torch.autograd.grad((fast * direction).sum(), learned),
        torch.autograd.grad((slow * direction).sum(), learned),
        strict=True,
    ):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, (6 * 5 + 1) * 64 + (64 * 5 + 1) * 128 + (128 * 5 + 1) * 128),
        ({"differences": True}, (12 * 5 + 1) * 64 + (64 * 5 + 1) * 128 + (128 * 5 + 1) * 128),
        ({"batch_norm": True}, (6 * 5 + 1) * 64 + (64 * 5 + 1) * 128 + (128 * 5 + 1) * 128 + 2 * (64 + 128 + 128)),
        ({"bins": 7, "pooling": "both"}, (6 * 5 + 1) * 64 + (64 * 5 + 1) * 128 + (128 * 5 + 1) * 128),
    ],
)
def test_it_has_its_number_of_parameters(changes: dict[str, Any], count: int) -> None:
    assert parameters(ConvBinsSettings(**changes).build(6, 50)) == count


def test_one_of_its_shapes_is_that_of_share() -> None:
    """Two convolutions of 128 filters and length 3 with batch normalisation; the decoder takes their mean over time."""
    share = ConvBinsSettings(channels=(128, 128), kernels=(3, 3), bins=1, pooling="mean", batch_norm=True)
    encoder = share.build(6, 128)
    assert parameters(encoder) == 52_224
    assert encoder.features == 128


def test_the_order_of_events_survives_and_differences_see_motion_only() -> None:
    torch.manual_seed(0)
    windows = torch.randn(3, 40, 6)
    swapped = torch.cat([windows[:, 20:], windows[:, :20]], dim=1)
    ordered = ConvBinsSettings(**SMALL).build(6, 40)
    assert not torch.allclose(ordered(windows), ordered(swapped), atol=0.01)
    moving = ConvBinsSettings(differences=True, **SMALL).build(6, 40)
    with torch.no_grad():
        moving.blocks[0][0].weight[:, :6] = 0
    torch.testing.assert_close(moving(windows + 3), moving(windows))


def test_dropout_follows_each_convolution() -> None:
    torch.manual_seed(0)
    encoder = ConvBinsSettings(dropout=0.5, **SMALL).build(6, 40)
    windows = torch.randn(3, 40, 6)
    assert [type(block[-1]) for block in encoder.blocks] == [Dropout, Dropout]
    assert not torch.allclose(encoder(windows), encoder(windows))
    assert torch.equal(encoder.eval()(windows), encoder(windows))
    torch.testing.assert_close(encoder(windows), literal(encoder, windows))


@pytest.mark.parametrize("changes", [{"channels": ()}, {"kernels": (5, 5)}, {"kernels": (5, 4, 5)}, {"bins": 0}])
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConvBinsSettings(**changes)


def test_every_part_needs_a_sample() -> None:
    encoder = ConvBinsSettings(bins=5, **SMALL).build(6, 40)
    assert encoder(torch.randn(2, 5, 6)).shape == (2, 25)
    with pytest.raises(ValueError, match=r"4 samples .* which needs 5\. Lengthen windows\.length"):
        encoder(torch.randn(2, 4, 6))


def test_parts_that_share_samples_export() -> None:
    encoder = ConvBinsSettings(pooling="both", **SMALL).build(6, 50).eval()
    windows = torch.randn(5, 50, 6)
    torch.testing.assert_close(exported(encoder, windows), encoder(windows).detach(), atol=1e-5, rtol=0)
