"""Where, how precisely and in how many processes to compute: one setting for a laptop, a GPU or a cluster."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_RANK = "RANK"  # set by torchrun: the index of this process among all


class ComputeSettings(BaseModel):
    """The machine's part of the configuration.

    Attributes:
        device: ``auto`` takes CUDA, then Apple's MPS, then the CPU.
        precision: ``auto`` takes bfloat16 where the processor multiplies it in hardware; the weights, the loss and
            the optimiser stay in float32.
        inference_batch: Windows embedded at once where no gradient is needed.
        processes: Processes a machine among which pre-training divides each batch, one a GPU.
        machines: Machines; with more than one, torchrun starts the processes.
        checkpoint_every: Epochs of pre-training after which its state is saved, so that it can go on after a crash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    inference_batch: int = Field(default=2048, gt=0)
    processes: int = Field(default=1, gt=0)
    machines: int = Field(default=1, gt=0)
    checkpoint_every: int = Field(default=10, gt=0)

    @property
    def processes_in_all(self) -> int:
        """Processes of all machines together."""
        return self.processes * self.machines

    @property
    def is_worker(self) -> bool:
        """Whether torchrun has started this process as another one than the first."""
        return self.processes_in_all > 1 and int(os.environ.get(_RANK, 0)) > 0

    def resolve(self) -> Compute:
        """Choose device and precision for a single process.

        Raises:
            RuntimeError: if the device is not available.
        """
        device = self._device()
        bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and _multiplies_bfloat16(device))
        return Compute(torch.device(device), bfloat16, self.inference_batch)

    def run(self, work: Callable[..., None], *arguments: object) -> None:
        """Call ``work(compute, *arguments)`` in as many processes as were asked for.

        Args:
            work: A function of a module, which other processes import by name. It leaves its results in the tensors
                it was given, which processes on one machine share.
            *arguments: What else to call it with.

        Raises:
            RuntimeError: if several machines were asked for, but torchrun has not started this process.
        """
        if self.processes_in_all == 1:
            work(self.resolve(), *arguments)
            return
        launched = _RANK in os.environ
        if self.machines > 1 and not launched:
            raise RuntimeError(
                f"compute.machines is {self.machines}, but no launcher has started this process. Start it with "
                "torchrun on every machine, as docs/scaling.md shows."
            )
        from lightning_fabric import Fabric

        fabric = Fabric(
            accelerator=self._device(),
            devices=self.processes,
            num_nodes=self.machines,
            strategy="ddp" if launched else "ddp_spawn",
        )
        if launched:
            atexit.register(_part)  # the launcher's processes stay together: there may be more to train
        fabric.launch(partial(_as_one_of_many, alone=self.resolve(), work=work, arguments=arguments, stays=launched))

    def _device(self) -> str:
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        device = self.device
        if device == "auto":
            device = next(name for name in ("cuda", "mps", "cpu") if available[name])
        if not available[device]:
            raise RuntimeError(f"device '{device}' is not available on this machine; use device: auto.")
        return device


class Compute:
    """A resolved device and precision, in one process or as one of many that work on the same batches.

    Attributes:
        device: Where tensors live.
        bfloat16: Whether encoders and heads multiply in bfloat16.
        inference_batch: Windows embedded at once where no gradient is needed.
        rank: Which of the processes this is, from 0.
        processes: How many there are.
    """

    def __init__(
        self, device: torch.device, bfloat16: bool, inference_batch: int, fabric: Fabric | None = None
    ) -> None:
        if device.type == "cuda":
            torch.backends.cudnn.deterministic = True  # the same seed, the same numbers
        self.device = device
        self.bfloat16 = bfloat16
        self.inference_batch = inference_batch
        self.rank = fabric.global_rank if fabric else 0
        self.processes = fabric.world_size if fabric else 1
        self._fabric = fabric

    @property
    def random_devices(self) -> list[int]:
        """CUDA devices whose random state must be kept along with the CPU's."""
        return [torch.cuda.current_device()] if self.device.type == "cuda" else []

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which encoders and heads run."""
        context: AbstractContextManager[None] = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)
        return context

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; what does not divide evenly, in an epoch's last one, is left out."""
        return batch[: len(batch) // self.processes * self.processes].chunk(self.processes)[self.rank]

    def gather(self, share: Tensor) -> Tensor:
        """Return the whole batch, in order, of which each process has a share.

        Gradients flow into this process's share only. They are multiplied by the number of processes, over which
        :meth:`average_gradients` takes the mean: so the sum over shares is right for what comes before the gathering,
        and the mean of equal gradients for what comes after it.
        """
        if self._fabric is None:
            return share
        share = share.contiguous()  # NCCL takes no other
        shares = [torch.empty_like(share) for _ in range(self.processes)]
        torch.distributed.all_gather(shares, share.detach())
        shares[self.rank] = cast(Tensor, _ScaledGradient.apply(share, self.processes))  # type: ignore[no-untyped-call]
        return torch.cat(shares)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of every process by their mean over all processes.

        Every process computes the loss of the whole batch; its gradient passes through its own share of it.
        """
        if self._fabric is None:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        total = cast(Tensor, self._fabric.all_reduce(together, reduce_op="mean"))
        for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def __str__(self) -> str:
        return f"{self.device.type}, {'bfloat16' if self.bfloat16 else 'float32'}"


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


def _as_one_of_many(
    fabric: Fabric, alone: Compute, work: Callable[..., None], arguments: Sequence[object], stays: bool
) -> None:
    """Call ``work`` in one of the processes that ``fabric`` has started, which part afterwards unless one ``stays``."""
    work(Compute(fabric.device, alone.bfloat16, alone.inference_batch, fabric), *arguments)
    if not stays:
        _part()


def _part() -> None:
    """Leave the other processes. The threads that talk to them abort an interpreter which ends before they do."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())
    return False
