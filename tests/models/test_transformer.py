"""The convolutions and transformer of CSSHAR, and their shape in multimodal contrast."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from contrastive_har.learning.objectives.reconstruction import MaskedReconstructionSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.models.encoders.tst import TSTSettings
from tests.models.examples import Array, array, attend, disturb, normalise_features, parameters

MULTIMODAL = TransformerSettings(kernels=(5, 5, 5), padding=1, activation="relu", layers=2, heads=2)


def test_the_multimodal_encoder_has_the_published_shapes() -> None:
    """Time 50, 48, 46, 44; 44 steps of 128 features are 5632."""
    encoder = MULTIMODAL.build(6, 50).eval()
    activations, shapes = encoder.enter(torch.randn(3, 50, 6)), []
    for layer in encoder.convolutions:
        activations = layer(activations)
        if isinstance(layer, nn.Conv1d):
            shapes.append(tuple(activations.shape))
    assert shapes == [(3, 32, 48), (3, 64, 46), (3, 128, 44)]
    assert encoder.features == 5632
    assert encoder(torch.randn(3, 50, 6)).shape == (3, 5632)
    kinds = [type(layer) for layer in encoder.convolutions]
    assert kinds == 3 * [nn.Conv1d, nn.BatchNorm1d, nn.ReLU]


def test_the_multimodal_encoder_has_its_number_of_parameters() -> None:
    convolutions = (6 * 5 + 1) * 32 + (32 * 5 + 1) * 64 + (64 * 5 + 1) * 128
    normalisations = 2 * (32 + 64 + 128)
    attention = (128 + 1) * 3 * 128 + (128 + 1) * 128
    feedforward = (128 + 1) * 2048 + (2048 + 1) * 128
    layer = attention + feedforward + 2 * 2 * 128
    assert parameters(MULTIMODAL.build(6, 50)) == convolutions + normalisations + 2 * layer == 1_238_880


def test_the_defaults_are_those_of_csshar() -> None:
    encoder = TransformerSettings().build(6, 30)
    kinds = [type(layer) for layer in encoder.convolutions]
    assert kinds == 3 * [nn.Conv1d, nn.BatchNorm1d, nn.LeakyReLU]
    assert encoder.features == 30 * 128
    assert [layer.padding for layer in encoder.convolutions if isinstance(layer, nn.Conv1d)] == [(1,), (1,), (1,)]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernels", "padding"),
    [
        (kernels, padding)
        for kernels in [(3, 5), (1, 7), (5, 1), (4, 2)]
        for padding in ["same", 0, 1, 2, 3]
        if (kernels, padding) != ((4, 2), "same")
    ],
)
def test_steps_and_the_shortest_window_are_those_of_the_convolutions(
    kernels: tuple[int, int], padding: int | str, stride: int
) -> None:
    settings = TransformerSettings(
        channels=(2, 4),
        kernels=kernels,
        padding=padding,
        stride=stride,
        layers=1,
        heads=1,
        feedforward=4,
        pooling="mean",
    )
    shortest = settings.shortest_window
    for length in (shortest, shortest + 1, shortest + 2, 20):
        encoder = settings.build(3, length).eval()
        convolved = encoder.convolutions(torch.zeros(1, 3, length))
        assert convolved.shape[-1] == settings.steps(length) == len(encoder.positions.values) > 0
        assert encoder(torch.zeros(2, length, 3)).shape == (2, 4)
    assert settings.steps(shortest - 1) == 0
    if shortest > 1:
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            settings.build(3, 20).eval().convolutions(torch.zeros(1, 3, shortest - 1))
        with pytest.raises(ValueError, match=rf"which needs {shortest}\. Lengthen windows\.length"):
            settings.build(3, 20).eval()(torch.zeros(1, shortest - 1, 3))


def test_even_kernels_need_a_padding_in_numbers() -> None:
    with pytest.raises(ValidationError, match="must be odd"):
        TransformerSettings(kernels=(3, 4, 3))
    assert TransformerSettings(kernels=(3, 4, 3), padding=0).steps(20) == 20 - 2 - 3 - 2
    with pytest.raises(ValidationError, match="padding"):
        TransformerSettings(padding=-1)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, False),
        ({"padding": 1}, False),
        ({"padding": 0}, True),
        ({"padding": 2}, True),
        ({"kernels": (5, 5, 5), "padding": 1}, True),
    ],
)
def test_masked_reconstruction_needs_a_step_per_sample(changes: dict[str, object], refused: bool) -> None:
    reason = MaskedReconstructionSettings().refusal(TransformerSettings.model_validate(changes))
    assert (reason is not None) == refused
    assert reason is None or "set its padding to same" in reason


def test_tst_has_its_number_of_parameters() -> None:
    """Width 64, three layers with a hidden part of 256, a position for each of 128 samples."""
    layer = (64 + 1) * 3 * 64 + (64 + 1) * 64 + (64 + 1) * 256 + (256 + 1) * 64 + 2 * 2 * 64
    encoder = TSTSettings().build(9, 128)
    assert parameters(encoder) == (9 + 1) * 64 + 128 * 64 + 3 * layer
    assert encoder.features == 128 * 64
    assert sum(parameters(stage) for stage in encoder.stages) == parameters(encoder)


def gelu(values: Array) -> Array:
    return np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in values.flat]).reshape(values.shape)


def test_tst_is_its_definition() -> None:
    torch.manual_seed(0)
    encoder = TSTSettings(channels=(8,), heads=2, feedforward=12, layers=2).build(3, 10).eval()
    disturb(encoder)
    windows = torch.randn(4, 10, 3)
    for found, window in zip(array(encoder(windows)), array(windows), strict=True):
        linear = encoder.convolutions[0]
        steps = window @ array(linear.weight)[:, :, 0].T + array(linear.bias) + array(encoder.positions.values)
        for layer in encoder.layers:
            steps = normalise_features(layer.norm1, steps + attend(layer.self_attn, steps)[0])
            first, last = layer.feedforward[0], layer.feedforward[-1]
            hidden = gelu(steps @ array(first.weight).T + array(first.bias))
            steps = normalise_features(layer.norm2, steps + hidden @ array(last.weight).T + array(last.bias))
        np.testing.assert_allclose(found, steps.flatten(), atol=1e-4)


def test_batch_normalisation_is_over_the_steps_of_all_windows() -> None:
    torch.manual_seed(0)
    encoder = TSTSettings(channels=(8,), heads=2, feedforward=12, layers=1, dropout=0).build(3, 10)
    steps = encoder(3 * torch.randn(5, 10, 3) + 2).view(50, 8)
    torch.testing.assert_close(steps.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps.var(0, correction=0), torch.ones(8), atol=1e-3, rtol=0)


@pytest.mark.parametrize("normalisation", ["layer", "batch"])
@pytest.mark.parametrize("attention", [True, False])
def test_attention_is_dropped_if_set(normalisation: str, attention: bool) -> None:
    encoder = TSTSettings(normalisation=normalisation, attention_dropout=attention, dropout=0.3).build(3, 10)
    assert {layer.self_attn.dropout for layer in encoder.layers} == {0.3 if attention else 0.0}


def test_tst_is_pre_trained_by_masked_reconstruction() -> None:
    assert MaskedReconstructionSettings().refusal(TSTSettings()) is None
    assert "set its stride to 1" in str(MaskedReconstructionSettings().refusal(TSTSettings(stride=2)))
