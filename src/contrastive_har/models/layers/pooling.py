"""Global max pooling over time, whose gradients come from one step of each window and channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input


def global_max_pool(features: Tensor) -> Tensor:
    """Return the maximum over time, (batch, channels), of ``features`` (batch, channels, 1, time)."""
    pooled: Tensor = _GlobalMaxPool.apply(features)  # type: ignore[no-untyped-call]
    return pooled


def convolve_and_pool(activations: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the maximum over time, (batch, filters), of a convolution of ``activations`` without padding.

    Only one step of each window and filter has a gradient: on a CPU, the weights' is gathered from those steps, instead
    of by another convolution over all of them (docs/performance.md).

    Args:
        activations: (batch, channels, 1, time).
        weight: (filters, channels, 1, kernel).
        bias: (filters,).
    """
    if activations.device.type != "cpu":
        return global_max_pool(functional.conv2d(activations, weight, bias))
    if torch.is_autocast_enabled("cpu"):  # custom autograd functions are not cast automatically
        precision = torch.get_autocast_dtype("cpu")
        activations, weight, bias = activations.to(precision), weight.to(precision), bias.to(precision)
    pooled: Tensor = _PooledConvolution.apply(activations, weight, bias)  # type: ignore[no-untyped-call]
    return pooled


class _GlobalMaxPool(torch.autograd.Function):
    """Forward by PyTorch's channels-last kernel, whose backward would convert the layout of the whole gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        pooled, steps = _maximum_and_its_step(features)
        ctx.save_for_backward(steps)
        ctx.length = features.shape[-1]
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (steps,) = ctx.saved_tensors
        return _at_its_step(gradient, steps, ctx.length)


class _PooledConvolution(torch.autograd.Function):
    """A convolution and its maximum over time in one, so that the weights' gradient can use the steps of the maxima."""

    @staticmethod
    def forward(ctx: Any, activations: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        features = functional.conv2d(activations, weight, bias)
        pooled, steps = _maximum_and_its_step(features)
        ctx.save_for_backward(activations, weight, steps)
        ctx.length = features.shape[-1]
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        activations, weight, steps = ctx.saved_tensors
        of_activations = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            spread = _at_its_step(gradient, steps, ctx.length)
            of_activations = conv2d_input(activations.shape, weight, spread)
        if ctx.needs_input_grad[1]:
            of_weight = _gradient_of_weight(gradient, steps, activations, weight)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_activations, of_weight, of_bias


def _maximum_and_its_step(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum over time and its step, both (batch, channels), of (batch, channels, 1, time)."""
    pooled, steps = functional.max_pool2d_with_indices(features, (1, features.shape[-1]))
    return pooled.flatten(1), steps.flatten(1)


def _at_its_step(gradient: Tensor, steps: Tensor, length: int) -> Tensor:
    """Return (batch, channels, 1, ``length``), channels last: the gradient (batch, channels) at its step, else zero."""
    batch, channels = gradient.shape
    spread = gradient.new_zeros(batch * length * channels)
    windows = torch.arange(batch, device=steps.device).unsqueeze(1) * (length * channels)
    spread[windows + steps * channels + torch.arange(channels, device=steps.device)] = gradient
    return spread.view(batch, length, channels).permute(0, 2, 1).unsqueeze(2)


def _gradient_of_weight(gradient: Tensor, steps: Tensor, activations: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of a pooled convolution's weight (filters, channels, 1, kernel).

    Its entries for a filter and a step of the kernel are the sum, over windows, of the activations at that step
    after the filter's maximum, weighted by the filter's gradient: what ``embedding_bag`` computes.
    """
    filters, channels, _, kernel = weight.shape
    windows, length = activations.shape[0], activations.shape[-1]
    rows = activations.permute(0, 2, 3, 1).reshape(windows * length, channels)
    first = (torch.arange(windows)[:, None] * length + steps).to(torch.int32).T[:, None]  # (filters, 1, windows)
    indices = (first + torch.arange(kernel, dtype=torch.int32)[:, None]).reshape(filters * kernel, windows)
    factors = gradient.T[:, None].expand(filters, kernel, windows).reshape(indices.shape)
    summed = functional.embedding_bag(indices, rows, per_sample_weights=factors, mode="sum")
    return summed.view(filters, kernel, channels).permute(0, 2, 1).unsqueeze(2)
