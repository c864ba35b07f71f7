"""The convolutions and transformer of CSSHAR, and their shape in multimodal contrast."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from contrastive_har.learning.objectives.reconstruction import MaskedReconstructionSettings
from contrastive_har.models.encoders.transformer import TransformerSettings

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
    found = sum(parameter.numel() for parameter in MULTIMODAL.build(6, 50).parameters())
    assert found == convolutions + normalisations + 2 * layer == 1_238_880


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
        assert convolved.shape[-1] == settings.steps(length) == len(encoder.positions) > 0
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
