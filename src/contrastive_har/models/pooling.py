"""Global max pooling over time, with a gradient in the memory order the convolutions work in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class _GlobalMaxPool(torch.autograd.Function):
    """Forward by PyTorch's channels-last kernel; its own backward would convert the whole gradient's layout."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        steps = features.shape[-1]
        pooled, index = functional.max_pool2d_with_indices(features, (1, steps))
        ctx.save_for_backward(index)
        ctx.shape = features.shape
        return pooled.flatten(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (index,) = ctx.saved_tensors
        batch, channels, _, steps = ctx.shape
        spread = gradient.new_zeros(batch * steps * channels)
        windows = torch.arange(batch, device=index.device).unsqueeze(1) * (steps * channels)
        columns = torch.arange(channels, device=index.device)
        spread[windows + index.flatten(1) * channels + columns] = gradient
        return spread.view(batch, steps, channels).permute(0, 2, 1).unsqueeze(2)


def global_max_pool(features: Tensor) -> Tensor:
    """Return the maximum over time, (batch, channels), of ``features`` (batch, channels, 1, time)."""
    pooled: Tensor = _GlobalMaxPool.apply(features)  # type: ignore[no-untyped-call]
    return pooled
