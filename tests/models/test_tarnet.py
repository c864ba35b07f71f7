"""TARNet's reconstruction of the samples it attends to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from contrastive_har.models.encoders.tarnet import TARNet, TARNetSettings
from tests.models.examples import array, attend, disturb, parameters

TIME = 20
SMALL = TARNetSettings(channels=(8,), layers=2, heads=2, feedforward=12)


def make(settings: TARNetSettings = SMALL) -> TARNet:
    torch.manual_seed(0)
    encoder = settings.build(3, TIME).eval()
    disturb(encoder)
    return encoder


def test_it_has_its_number_of_parameters() -> None:
    """Of the published encoder: width 64, eight layers with a hidden part of 128."""
    layer = (64 + 1) * 3 * 64 + (64 + 1) * 64 + (64 + 1) * 128 + (128 + 1) * 64 + 2 * 2 * 64
    encoder = TARNetSettings(layers=8).build(27, 100)
    assert parameters(encoder) == (27 + 1) * 64 + 8 * layer + (64 + 1) * 27
    assert encoder.features == 64
    assert sum(parameters(stage) for stage in encoder.stages) == parameters(encoder)


def test_attention_is_what_a_sample_receives_from_the_others() -> None:
    encoder = make()
    windows = torch.randn(3, TIME, 3)
    entered = encoder.enter(windows)
    before_last = encoder.run(entered, 0, encoder.depth - 1)
    for found, steps in zip(array(encoder.attention(entered)), array(before_last), strict=True):
        _, weights = attend(encoder.layers[-1].self_attn, steps)
        expected = [sum(weights[other, step] for other in range(TIME) if other != step) for step in range(TIME)]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_hidden_samples_are_drawn_from_those_with_most_attention() -> None:
    """Of 20 samples ten are important, and three of those are hidden, each as often as the others."""
    encoder = make()
    attention = torch.rand(2000, TIME)
    hidden = encoder.hide(attention)
    assert (hidden.sum(1) == 3).all()
    ranks = attention.argsort(1, descending=True).argsort(1)
    shares = torch.stack([hidden[ranks == rank].float().mean() for rank in range(TIME)])
    assert not shares[10:].any()
    torch.testing.assert_close(shares[:10], torch.full((10,), 0.3), atol=0.05, rtol=0)


def test_at_least_one_sample_is_hidden() -> None:
    encoder = make(SMALL.model_copy(update={"masked": 0.01, "attended": 0.01}))
    attention = torch.rand(5, TIME)
    assert encoder.hide(attention).nonzero().tolist() == [[row, step] for row, step in enumerate(attention.argmax(1))]


@pytest.mark.parametrize(("weight", "rate"), [(0.8, 0.8), (0.3, 0.2)])
def test_the_loss_is_its_definition(weight: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = make(SMALL.model_copy(update={"masked_weight": weight, "task_rate": rate}))
    windows = torch.randn(4, TIME, 3)
    hidden = encoder.hide(torch.rand(4, TIME))
    monkeypatch.setattr(encoder, "hide", lambda attention: hidden)
    found = encoder.auxiliary_loss(encoder.enter(windows))
    blanked = windows.clone()
    blanked[hidden] = 0
    restored = array(encoder.restore(encoder.sequence(blanked)))
    errors: dict[bool, list[float]] = {True: [], False: []}
    for window, guess, blank in zip(array(windows), restored, hidden.tolist(), strict=True):
        for step, gone in enumerate(blank):
            errors[gone] += [(guess[step, channel] - window[step, channel]) ** 2 for channel in range(3)]
    expected = weight * np.mean(errors[True]) + (1 - weight) * np.mean(errors[False])
    # The task has a factor of one instead of its rate.
    assert found.item() == pytest.approx(expected * (1 - rate) / rate, rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_of_the_loss_reach_everything(precision: str) -> None:
    encoder = make().train()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = encoder.auxiliary_loss(encoder.enter(torch.randn(4, TIME, 3)))
    assert loss.dtype == torch.float32
    loss.backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-5, name


def test_windows_of_one_sample_have_a_loss() -> None:
    encoder = make()
    assert torch.isfinite(encoder.auxiliary_loss(encoder.enter(torch.randn(4, 1, 3))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masked": 0.6}, "masked 0.6 must be at most attended 0.5"),
        ({"stride": 2}, "set its stride to 1"),
        ({"kernels": (3,), "padding": 0}, "set its padding to same"),
        ({"heads": 5}, "divisible by heads 5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TARNetSettings.model_validate(changes)
