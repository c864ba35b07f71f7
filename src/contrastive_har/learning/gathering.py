"""Tensors of all processes that share a batch, and the gradients that flow back into the share of each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gather(share: Tensor, processes: int, rank: int) -> Tensor:
    """Return the shares of all processes in order; gradients, times their number, flow into that of this process."""
    shares = _collect(share, processes)
    shares[rank] = _ScaledGradient.apply(share, processes)  # type: ignore[no-untyped-call]
    return torch.cat(shares)


def gather_for_parts(share: Tensor, processes: int, rank: int) -> Tensor:
    """Return the same; the gradients of all processes, times their number, flow into the share of this one."""
    gathered: Tensor = _Gathered.apply(share, processes, rank)  # type: ignore[no-untyped-call]
    return gathered


def total(part: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without gradient."""
    summed = part.detach().clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(summed)
    return summed


def _collect(share: Tensor, processes: int) -> list[Tensor]:
    sent = share.detach().contiguous()  # required by NCCL
    shares = [torch.empty_like(sent) for _ in range(processes)]
    torch.distributed.all_gather(shares, sent)
    return shares


class _ScaledGradient(torch.autograd.Function):
    """The identity, with a gradient that is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return share.view_as(share)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient * ctx.factor, None


class _Gathered(torch.autograd.Function):
    """The shares of all processes, with the gradients of all of them."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, processes: int, rank: int) -> Tensor:
        ctx.processes, ctx.rank = processes, rank
        return torch.cat(_collect(share, processes))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return total(gradient).chunk(ctx.processes)[ctx.rank] * ctx.processes, None, None
