"""Sizes in closed form, arithmetic against a literal count by layer, and times that take turns."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
import torch
from pydantic import BaseModel, TypeAdapter
from torch import nn

from contrastive_har.models import complexity
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.complexity import BATCH, measure_size, time_batches
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.signals.sensors import Channel, Layout
from tests.learning.test_contract import ENCODERS, HEADS

LENGTH, SENSORS = 64, ((0, 1, 2), (3, 4, 5))
CLASSES = ("walk", "walk upstairs", "sit")
FEATURES = 5
SPELLED = {"name": "label_sequence", "embedding": 3, "width": 4, "word_vectors": "random"}
# The products that are not a layer's: the last convolution of TPN (which is pooled as it is computed), MiniRocket's
# kernels of nine taps with and without padding, and the spectrum and the correlations of hand features.
BESIDE_LAYERS = {
    "tpn": (64 - 24 - 16 - 8 + 3) * 64 * 96 * 8,
    "small tpn": (64 - 5 - 3 + 2) * 8 * 8 * 3,
    "minirocket": sum(42 * 6 * 9 * (64 + 64 - 8 * dilation) for dilation in (1, 2, 7)),
    "hand_features": 2 * 32 * 64 * (6 + 2) + 6 * 64 * 6,
    "spectral": 2 * 7 * 8 * 16 * 6,  # cosines and sines of 8 frequencies in 7 segments of 16 samples
    "that": 64 * 10 * 6,  # ranges of time at each sample
    # Kernels are drawn when calibrated; before, all have seven weights and no padding.
    "rocket": 40 * 6 * 7 * (64 - 6),
}


def build(kind: Any, settings: dict[str, Any]) -> Any:
    built: BaseModel = TypeAdapter(kind).validate_python(settings)
    return built


def encoder_of(name: str) -> Encoder:
    torch.manual_seed(0)
    encoder: Encoder = build(EncoderSettings, ENCODERS[name]).build(6, LENGTH, SENSORS)
    return encoder.eval()


def recogniser(encoder: str, head: dict[str, Any]) -> Recogniser:
    """A recogniser of six channels."""
    channels = tuple(Channel(name=f"{sensor}_{axis}", unit="g") for sensor in ("acc", "gyro") for axis in "xyz")
    backbone = Backbone({"inertial": encoder_of(encoder)}, Layout(length=LENGTH, channels=channels))
    return Recogniser(backbone, build(HeadSettings, head).build_for(backbone.widths, CLASSES)).eval()


def by_layer(network: nn.Module, inputs: torch.Tensor) -> int:
    """The multiply-adds of all layers that a network calls for one window, from their shapes."""
    total = 0

    def count(module: nn.Module, given: tuple[torch.Tensor, ...], named: dict[str, Any], output: Any) -> None:
        nonlocal total
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            total += output.numel() * module.in_channels // module.groups * prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.LSTM | nn.GRU | nn.LSTMCell):
            rows = given[0].numel() // module.input_size
            total += rows * sum(weight.numel() for weight in module.parameters() if weight.ndim == 2)
        elif isinstance(module, nn.MultiheadAttention):
            steps, width = given[0].shape[1], module.embed_dim
            total += 4 * steps * width**2 + 2 * steps**2 * width

    hooks = [module.register_forward_hook(count, with_kwargs=True) for module in network.modules()]
    network(inputs)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", ENCODERS)
def test_the_arithmetic_of_every_encoder_is_counted(name: str) -> None:
    encoder, window = encoder_of(name), torch.randn(1, LENGTH, 6)
    assert complexity._multiply_adds(encoder, window) == by_layer(encoder, window) + BESIDE_LAYERS.get(name, 0) > 0


@pytest.mark.parametrize(
    ("settings", "products", "parameters"),
    [
        (HEADS["linear"], FEATURES * 3, FEATURES * 3 + 3),
        (HEADS["logistic"], FEATURES * 3, FEATURES * 3 + 3),
        (HEADS["ridge"], FEATURES * 3, FEATURES * 3 + 3),
        (HEADS["mlp"], FEATURES * 8 + 8 * 3, FEATURES * 8 + 8 + 8 * 3 + 3),
        (HEADS["late fusion"], FEATURES * 3, FEATURES * 3 + 3),
        # Three beginnings of a word or of none: two first states, then steps of a cell and scores of five tokens.
        (
            SPELLED,
            2 * FEATURES * 4 + (1 + 2 + 1) * (4 * 4 * (3 + 4) + 4 * 5),
            2 * (FEATURES * 4 + 4) + 5 * 3 + 4 * 4 * (3 + 4) + 2 * 16 + 4 * 5 + 5,
        ),
    ],
    ids=["linear", "logistic", "ridge", "mlp", "late fusion", "label sequence"],
)
def test_heads_in_closed_form(settings: dict[str, Any], products: int, parameters: int) -> None:
    head = build(HeadSettings, settings).build_for([FEATURES], CLASSES).eval()
    assert complexity._multiply_adds(head, torch.randn(1, FEATURES)) == products
    assert sum(values.numel() for values in head.state_dict().values()) == parameters


def test_sizes_in_closed_form() -> None:
    network = recogniser("small tpn", HEADS["mlp"])
    convolutions = 6 * 8 * 5 + 8 + 8 * 8 * 3 + 8
    mlp = 8 * 8 + 8 + 8 * 3 + 3
    size = measure_size(network, torch.randn(1, LENGTH, 6))
    assert size.parameters == convolutions + mlp
    assert size.state_bytes == 4 * (convolutions + mlp + 2 * 6), "with mean and deviation of each channel"
    assert size.multiply_adds == 60 * 6 * 8 * 5 + 58 * 8 * 8 * 3 + 8 * 8 + 8 * 3


def test_fitted_heads_have_parameters_and_computed_features_do_not() -> None:
    network = recogniser("hand_features", HEADS["ridge"])
    size = measure_size(network, torch.randn(1, LENGTH, 6))
    features = network.backbone.features
    assert size.parameters == features * 3 + 3
    assert size.state_bytes == 4 * (features * 3 + 3 + 2 * features + 2 * 6)


def test_the_time_is_a_median_of_rounds_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks on a clock of their own; one of them is held up once."""
    clock, calls = [0.0], []

    def network(name: str, seconds: Iterator[float]) -> nn.Module:
        class Timed(nn.Module):
            def forward(self, batch: torch.Tensor) -> torch.Tensor:
                calls.append((name, torch.get_num_threads(), torch.is_inference_mode_enabled(), len(batch)))
                clock[0] += next(seconds)
                return batch

        return Timed()

    monkeypatch.setattr(complexity.time, "perf_counter", lambda: clock[0])
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    networks = [network("a", iter([9.0, 0.002, 0.9, 0.003, 0.1, 0.1])), network("b", iter([9.0] + [0.01] * 5))]
    try:
        times = time_batches(networks, [torch.zeros(BATCH, 1)] * 2)
        assert torch.get_num_threads() == 2, "restored"
    finally:
        torch.set_num_threads(threads)
    assert times == pytest.approx([100, 10]), "of five rounds; what warms up does not count"
    assert calls == [("a", 1, True, BATCH), ("b", 1, True, BATCH)] * 6
    calls.clear()
    times = time_batches([network("slow", iter([9.0, 3.0, 5.0, 4.0]))], [torch.zeros(BATCH, 1)])
    assert times == pytest.approx([4000]), "three rounds at least"
    assert time_batches([], []) == []
