"""Self-attention, in the precision in which a processor is fastest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` of steps to themselves, whose sums over steps are in float32 on most CPUs.

    Processors with AVX-512 but without matrix units (AMX) multiply the large matrices of the four projections faster
    in bfloat16, but the small ones of each head slower.
    """

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = True, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Return what each step (batch, steps, width) attends to, and its weights if needed.

        Args:
            query: The steps, also as ``key`` and ``value``.
            key: The same.
            value: The same.
            need_weights: Whether weights (batch, from, to) are returned, which takes longer.
            **options: Others of ``nn.MultiheadAttention``, which has them at their defaults.
        """
        if need_weights:
            attended, weights = super().forward(query, key, value, **options)
            return attended, weights
        projected = functional.linear(query, self.in_proj_weight, self.in_proj_bias)
        by_head = projected.unflatten(2, (3, self.num_heads, self.head_dim)).transpose(1, 3)
        kind = query.device.type
        half = torch.is_autocast_enabled(kind) and (kind != "cpu" or torch.cpu._is_amx_tile_supported())
        with torch.autocast(kind, enabled=half):
            queries, keys, values = (by_head if half else by_head.float()).unbind(2)
            summed = functional.scaled_dot_product_attention(
                queries, keys, values, dropout_p=self.dropout if self.training else 0.0
            )
        joined = summed.transpose(1, 2).flatten(2)
        return functional.linear(joined, self.out_proj.weight, self.out_proj.bias), None
