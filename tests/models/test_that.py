"""THAT's two streams and its Gaussian ranges, against literal transcriptions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from contrastive_har.models.encoders.that import THAT, THATSettings
from contrastive_har.models.layers.gaussian_range import GaussianRange
from tests.models.examples import Array, array, attend, convolve, disturb, normalise_features, normalise_steps
from tests.models.examples import parameters as count_of

SMALL: dict[str, Any] = {
    "heads": 4,
    "temporal_layers": 3,
    "channel_layers": 2,
    "ranges": 3,
    "temporal_filters": 5,
    "temporal_kernels": (3, 7),
    "channel_filters": 2,
}


def ranged(encoding: GaussianRange, steps: Array) -> Array:
    """Each step plus the vectors of the ranges, weighted by their densities."""
    means, deviations = array(encoding.means), np.exp(array(encoding.log_deviations))
    output = steps.copy()
    for index in range(len(steps)):
        time = (index + 0.5) / len(steps)
        densities = [
            math.exp(-(((time - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
            for mean, deviation in zip(means, deviations, strict=True)
        ]
        for density, vector in zip(densities, array(encoding.vectors), strict=True):
            output[index] += density / sum(densities) * vector
    return output


def literal_layer(layer: nn.Module, steps: Array) -> Array:
    if isinstance(layer, nn.Identity):
        return steps
    if isinstance(layer, nn.Sequential):
        return literal_layer(layer[1], ranged(layer[0], steps))
    steps = normalise_steps(layer.norm1, steps + attend(layer.self_attn, steps)[0])
    convolved = [
        normalise_features(norm, convolve(convolution, steps)).clip(0)
        for convolution, norm, _ in layer.feedforward.convolutions
    ]
    return normalise_steps(layer.norm2, steps + sum(convolved) / len(convolved))


def literal(encoder: THAT, window: Array) -> Array:
    """One window (time, channels)."""
    temporal, channel = window, window.T
    for layer in encoder.temporal:
        temporal = literal_layer(layer, temporal)
    for layer in encoder.channel:
        channel = literal_layer(layer, channel)
    maxima = [convolve(last, temporal).max(0) for last in encoder.over_time]
    maxima += [convolve(last, channel).max(0) for last in encoder.over_channels]
    return np.concatenate(maxima).clip(0)


@pytest.mark.parametrize("layers", [(3, 2), (1, 2)])
@pytest.mark.parametrize("channels", [6, 3])
def test_it_is_its_definition(channels: int, layers: tuple[int, int]) -> None:
    """The channels also where they are fewer than the last convolutions are long."""
    torch.manual_seed(0)
    shape = {**SMALL, "temporal_layers": layers[0], "channel_layers": layers[1]}
    encoder = THATSettings(**shape).build(channels, 12).eval()
    disturb(encoder)
    windows = torch.randn(3, 12, channels)
    found = array(encoder(windows))
    assert found.shape == (3, encoder.features) == (3, 2 * 5 + 2 * 2)
    np.testing.assert_allclose(found, [literal(encoder, window) for window in array(windows)], atol=1e-4)
    assert (found > 0).any()


def test_ranges_divide_time_evenly_at_first() -> None:
    shares = GaussianRange(40, 6, 4).shares()
    torch.testing.assert_close(shares.sum(1), torch.ones(40))
    assert shares.argmax(1).tolist() == sorted([0, 1, 2, 3] * 10)
    torch.testing.assert_close(shares, shares.flip(0, 1))


def test_the_temporal_stream_knows_the_order_of_events_by_its_ranges() -> None:
    """Without convolutions over more than one step, nothing else does."""
    torch.manual_seed(0)
    shape = {**SMALL, "scales": (1,), "temporal_kernels": (1,), "channel_layers": 1}
    encoder = THATSettings(**shape).build(6, 12).eval()
    windows = torch.randn(3, 12, 6)
    temporal = slice(0, 5)
    assert not torch.allclose(encoder(windows)[:, temporal], encoder(windows.flip(1))[:, temporal], atol=1e-3)
    encoder.temporal[0][0].vectors.data.zero_()
    torch.testing.assert_close(encoder(windows)[:, temporal], encoder(windows.flip(1))[:, temporal])


@pytest.mark.parametrize(
    ("channels", "heads"), [(90, 9), (45, 9), (27, 9), (9, 9), (6, 6), (7, 7), (8, 8), (1, 1), (22, 2)]
)
def test_heads_divide_the_width(channels: int, heads: int) -> None:
    encoder = THATSettings(temporal_layers=1).build(channels, 128)
    assert encoder.temporal[0][1].self_attn.num_heads == heads
    assert encoder.channel[0].self_attn.num_heads == 8


def test_the_shape_for_wifi_has_its_number_of_parameters() -> None:
    def layer(width: int) -> int:
        attention = 4 * (width + 1) * width
        convolutions = (1 + 3 + 5) * width * width + 3 * width + 3 * 2 * width
        return attention + convolutions + 2 * 2 * width

    temporal = 5 * layer(90) + 10 * (90 + 2) + (10 + 40) * 90 * 128 + 2 * 128
    channel = layer(500) + (2 + 4) * 500 * 16 + 2 * 16
    encoder = THATSettings().build(90, 500)
    assert count_of(encoder) == temporal + channel
    assert encoder.features == 2 * 128 + 2 * 16 == 288
    assert sum(count_of(stage) for stage in encoder.stages) == count_of(encoder)


def test_all_gradients_flow() -> None:
    torch.manual_seed(0)
    encoder = THATSettings(**SMALL).build(6, 12)
    encoder(torch.randn(16, 12, 6)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        # Softmax is blind to a bias of the keys, and batch normalisation to that of a convolution before it.
        if not name.endswith(("in_proj_bias", "0.bias")):
            assert parameter.grad.abs().max() > 1e-6, name


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be odd"):
        THATSettings(scales=(1, 2))
    with pytest.raises(ValidationError, match="temporal_kernels"):
        THATSettings(temporal_kernels=())
    assert THATSettings().shortest_window == 40
