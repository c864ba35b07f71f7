"""Global max pooling over time, with gradients that cost little more than the few steps they come from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def global_max_pool(features: Tensor) -> Tensor:
    """Return the maximum over time, (batch, channels), of ``features`` (batch, channels, 1, time)."""
    pooled: Tensor = _GlobalMaxPool.apply(features)  # type: ignore[no-untyped-call]
    return pooled


def convolve_and_pool(activations: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Return the maximum over time, (batch, filters), of what a convolution makes of ``activations``.

    The gradient reaches one step a window and filter. On a CPU, that of the weights is therefore a sum of as many
    pieces of the activations: a third of the time of a convolution over all steps.

    Args:
        activations: (batch, channels, 1, time).
        convolution: Of height 1, with a bias, without padding, stride or dilation.
    """
    if activations.device.type != "cpu" or convolution.bias is None:
        return global_max_pool(convolution(activations))
    weight, bias = convolution.weight, convolution.bias
    if torch.is_autocast_enabled("cpu"):  # functions of our own are not cast by themselves
        activations, weight, bias = (
            tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (activations, weight, bias)
        )
    pooled: Tensor = _PooledConvolution.apply(activations, weight, bias)  # type: ignore[no-untyped-call]
    return pooled


class _GlobalMaxPool(torch.autograd.Function):
    """Forward by PyTorch's channels-last kernel; its own backward would convert the whole gradient's layout."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        pooled, steps = _largest(features)
        ctx.save_for_backward(steps)
        ctx.length = features.shape[-1]
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (steps,) = ctx.saved_tensors
        return _spread(gradient, steps, ctx.length)


class _PooledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        features = functional.conv2d(activations, weight, bias)
        pooled, steps = _largest(features)
        ctx.save_for_backward(activations, weight, steps)
        ctx.length = features.shape[-1]
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        activations, weight, steps = ctx.saved_tensors
        of_activations, of_weight, of_bias = ctx.needs_input_grad
        return (
            _through(_spread(gradient, steps, ctx.length), activations, weight) if of_activations else None,
            _into_weight(gradient, activations, weight, steps) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _largest(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum over time and its step, both (batch, channels), of (batch, channels, 1, time)."""
    pooled, steps = functional.max_pool2d_with_indices(features, (1, features.shape[-1]))
    return pooled.flatten(1), steps.flatten(1)


def _spread(gradient: Tensor, steps: Tensor, length: int) -> Tensor:
    """Return the gradient (batch, channels, 1, ``length``), channels last, of which one step a row is not zero."""
    batch, channels = gradient.shape
    spread = gradient.new_zeros(batch * length * channels)
    windows = torch.arange(batch, device=steps.device).unsqueeze(1) * (length * channels)
    spread[windows + steps * channels + torch.arange(channels, device=steps.device)] = gradient
    return spread.view(batch, length, channels).permute(0, 2, 1).unsqueeze(2)


def _through(gradient: Tensor, activations: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of a convolution's activations."""
    unused = [0, 0]  # no output padding
    plain = ([1, 1], [0, 0], [1, 1])  # stride, padding, dilation
    entering: Tensor = torch.ops.aten.convolution_backward(
        gradient, activations, weight, None, *plain, False, unused, 1, (True, False, False)
    )[0]
    return entering


def _into_weight(gradient: Tensor, activations: Tensor, weight: Tensor, steps: Tensor) -> Tensor:
    """Return the gradient of a pooled convolution's weight (filters, channels, 1, kernel).

    Its entries for a filter and a step of the kernel are the sum, over windows, of the activations at the filter's
    largest step and as many further, weighted by the filter's gradient: a row of ``embedding_bag``.
    """
    filters, channels, _, kernel = weight.shape
    windows, length = activations.shape[0], activations.shape[-1]
    rows = activations.permute(0, 2, 3, 1).reshape(windows * length, channels)
    first = (torch.arange(windows)[:, None] * length + steps).to(torch.int32).T[:, None]  # (filters, 1, windows)
    places = (first + torch.arange(kernel, dtype=torch.int32)[:, None]).reshape(filters * kernel, windows)
    factors = gradient.T[:, None].expand(filters, kernel, windows).reshape(places.shape)
    summed = functional.embedding_bag(places, rows, per_sample_weights=factors, mode="sum")
    return summed.view(filters, kernel, channels).permute(0, 2, 1).unsqueeze(2)
