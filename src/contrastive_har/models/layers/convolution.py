"""A convolution that computes the gradient of its bias separately."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` that, on a CPU, computes the gradient of its bias separately.

    If oneDNN uses a general matrix product for the weights' gradient, as for 32 to 64 filters of 16 samples in bfloat16
    without AMX, the gradient of the bias takes as long as that of the weights. The sum differs only in the order of its
    terms.
    """

    def forward(self, activations: Tensor) -> Tensor:
        """Convolve ``activations`` (batch, channels, height, time)."""
        learns = self.bias is not None and self.bias.requires_grad and torch.is_grad_enabled()
        if self.bias is None or not learns or activations.device.type != "cpu":
            return super().forward(activations)
        convolved = self._conv_forward(activations, self.weight, self.bias.detach())
        shifted: Tensor = _BiasGradient.apply(convolved, self.bias)  # type: ignore[no-untyped-call]
        return shifted


class _BiasGradient(torch.autograd.Function):
    """The identity, with the gradient of a bias that has been added already."""

    @staticmethod
    def forward(ctx: Any, convolved: Tensor, bias: Tensor) -> Tensor:
        ctx.mark_dirty(convolved)  # returned as it is: no copy
        return convolved

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        return gradient, gradient.sum((0, 2, 3))
