"""Filters at several dilations, against literal loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from contrastive_har.models.encoders.dilated_filters import DilatedFilters, DilatedFiltersSettings, pool_filters
from contrastive_har.models.layers.companding import compand
from tests.models.examples import exported, parameters

SMALL: dict[str, Any] = {"filters": 3, "kernel": 5, "dilations": (1, 3)}


def literal(encoder: DilatedFilters, settings: DilatedFiltersSettings, windows: torch.Tensor) -> list[list[float]]:
    """Sums over the weights of a filter, with zeros around the window, then what is taken of them, one by one."""
    embeddings = []
    for window in windows if settings.companding is None else compand(windows, settings.companding):
        embedding: list[float] = []
        for convolution, dilation in zip(encoder.filters, settings.dilations, strict=True):
            outputs = []
            for weights, bias in zip(convolution.weight, convolution.bias, strict=True):
                row = []
                for time in range(len(window)):
                    total = float(bias)
                    for tap in range(settings.kernel):
                        sample = time + (tap - settings.kernel // 2) * dilation
                        if 0 <= sample < len(window):
                            total += float(weights[:, tap] @ window[sample])
                    row.append(total)
                outputs.append(row)
            for way in settings.pooling:
                embedding += [taken(way, row) for row in outputs]
        embeddings.append(embedding)
    return embeddings


def taken(way: str, row: list[float]) -> float:
    positive = [max(0.0, value) for value in row]
    if way == "mean":
        return sum(positive) / len(row)
    if way == "max":
        return max(positive)
    deviation = math.sqrt(sum(value**2 for value in row) / len(row) + 1e-6)
    return sum(1 / (1 + math.exp(-4 * value / deviation)) for value in row) / len(row)


@pytest.mark.parametrize("pooling", [("positive",), ("max", "mean"), ("positive", "mean", "max")])
@pytest.mark.parametrize("companding", [None, 0.1])
def test_it_agrees_with_literal_loops(pooling: tuple[str, ...], companding: float | None) -> None:
    torch.manual_seed(0)
    settings = DilatedFiltersSettings(pooling=pooling, companding=companding, **SMALL)
    encoder = settings.build(2, 11).double()
    windows = torch.randn(4, 11, 2, dtype=torch.float64)
    with torch.no_grad():
        for convolution in encoder.filters:
            convolution.bias.copy_(torch.randn(3))
        found = encoder(windows)
        expected = literal(encoder, settings, windows)
    assert found.shape == (4, encoder.features) == (4, 3 * 2 * len(pooling))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_the_share_of_positive_outputs_is_nearly_a_count_and_has_a_gradient() -> None:
    """Of outputs of one size the share is exact but for the 2 % that a logistic function of 4 lacks."""
    outputs = torch.tensor([[[5.0, -5, -5, 5, 5, 5]]], requires_grad=True)
    share = pool_filters(outputs, ["positive"])
    step = 1 / (1 + math.exp(-4))
    assert share.item() == pytest.approx((4 * step + 2 * (1 - step)) / 6, abs=1e-6)
    torch.testing.assert_close(pool_filters(100 * outputs, ["positive"]), share)
    mixed = torch.tensor([[[1.0, -2, 0.5]]], requires_grad=True)
    pool_filters(mixed, ["positive"]).sum().backward()
    assert mixed.grad is not None
    assert (mixed.grad != 0).all()


def test_a_window_of_zeros_has_finite_gradients() -> None:
    encoder = DilatedFiltersSettings(**SMALL).build(2, 11)
    encoder(torch.zeros(2, 11, 2)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())


def test_it_has_its_number_of_parameters() -> None:
    assert parameters(DilatedFiltersSettings().build(6, 128)) == 4 * (6 * 9 + 1) * 64


def test_dropout_is_of_training_only() -> None:
    torch.manual_seed(0)
    encoder = DilatedFiltersSettings(dropout=0.5, **SMALL).build(2, 40)
    windows = torch.randn(3, 40, 2)
    assert not torch.equal(encoder(windows), encoder(windows))
    assert torch.equal(encoder.eval()(windows), encoder(windows))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": 4}, "kernel 4 must be odd"),
        ({"dilations": (1, 0)}, "must be positive"),
        ({"pooling": ("max", "max")}, "names one twice"),
        ({"pooling": ()}, "at least 1 item"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DilatedFiltersSettings(**changes)


def test_it_exports() -> None:
    encoder = DilatedFiltersSettings(companding=0.1, **SMALL).build(6, 50).eval()
    windows = torch.randn(5, 50, 6)
    torch.testing.assert_close(exported(encoder, windows), encoder(windows).detach(), atol=1e-5, rtol=0)
