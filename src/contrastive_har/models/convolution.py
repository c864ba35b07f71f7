"""A convolution whose gradients take the fast ways on every processor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` that sums the gradient of its bias by itself.

    Asked for it together with the weights', oneDNN takes another kernel on processors with AVX-512 but without AMX,
    which needs twice as long for both. The sum is the same but for the order of its terms.
    """

    def forward(self, activations: Tensor) -> Tensor:
        """Convolve ``activations`` (batch, channels, height, time)."""
        if self.bias is None or not self.bias.requires_grad or not torch.is_grad_enabled():
            return super().forward(activations)
        convolved = self._conv_forward(activations, self.weight, self.bias.detach())
        shifted: Tensor = _BiasGradient.apply(convolved, self.bias)  # type: ignore[no-untyped-call]
        return shifted


class _BiasGradient(torch.autograd.Function):
    """The identity, with the gradient of a bias that has been added already."""

    @staticmethod
    def forward(ctx: Any, convolved: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = bias.dtype
        ctx.mark_dirty(convolved)  # returned as it is: no copy
        return convolved

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        return gradient, gradient.sum((0, 2, 3)).to(ctx.dtype)
