"""Dropout that is fast on a CPU, where PyTorch draws one random number per activation; and a way to switch it off."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_LEVELS = 2**16
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class Dropout(nn.Dropout):
    """``nn.Dropout`` with, on the CPU, sixteen random bits per activation from a fast generator.

    The generator is seeded from PyTorch's, so that seeds work as usual. The dropout rate is rounded to
    one part in 65,536; the activations keep their expectation exactly.
    """

    @property
    def drops(self) -> bool:
        """Whether any activations are dropped at present."""
        return self.training and self.p > 0

    def forward(self, activations: Tensor) -> Tensor:
        """Return ``activations`` (dense, any shape and memory order) with a share of them set to zero."""
        if not self.drops or activations.device.type != "cpu":
            return super().forward(activations)
        dropped = round(self.p * _LEVELS)
        seed = int(torch.randint(2**62, ()))
        bits = np.random.SFC64(seed).random_raw(-(-activations.numel() // 4)).view(np.int16)
        kept = bits[: activations.numel()] >= dropped - _LEVELS // 2
        # Zero or one times a factor's bit pattern is that of zero or of the factor; converting booleans to bfloat16
        # would take longer than drawing them.
        factor = torch.tensor(_LEVELS / (_LEVELS - dropped), dtype=activations.dtype)
        pattern = factor.view(_INTEGERS[factor.itemsize]).numpy()
        factors = torch.from_numpy(kept.view(np.int8) * pattern).view(activations.dtype)
        return activations * factors.as_strided(activations.shape, activations.stride())


def switch_off_dropout(network: nn.Module) -> None:
    """Switch off dropout of activations, of attention and between recurrent layers, also while a network is trained."""
    for module in network.modules():
        if isinstance(module, (nn.Dropout, nn.MultiheadAttention)):  # attention drops weights by itself
            module.eval()
        elif isinstance(module, nn.RNNBase):
            module.dropout = 0.0  # in evaluation mode cuDNN has no gradient
