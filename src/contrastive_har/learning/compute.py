"""Device, precision and processes of a computation: settings for a laptop, a GPU or a cluster."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from contrastive_har.files.memory import free_memory
from contrastive_har.learning import gathering
from contrastive_har.learning.workers import Workers, available_threads, is_worker, shows_progress
from contrastive_har.strict import StrictModel

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Part = TypeVar("Part")
Result = TypeVar("Result")

_MEMORY_OF_WORKER = 3 * 2**29  # bytes: of torch, and of embeddings and features of tens of thousands of windows
_RANK = "RANK"  # environment variable of torchrun: the index of this process


class ComputeSettings(StrictModel):
    """Settings of the device, the precision and the processes.

    Attributes:
        device: ``auto`` takes CUDA, then Apple's MPS, then the CPU.
        precision: ``auto`` takes bfloat16 if the processor multiplies it in hardware; the weights, the loss and
            the optimiser stay in float32.
        inference_batch: Windows embedded at once if no gradient is needed.
        processes: Processes per machine that share each batch of pre-training; one per GPU.
        machines: Number of machines; with more than one, torchrun starts the processes.
        workers: Processes among which rows and their repeats are divided; each takes its share of this process's
            threads. ``auto`` takes one for each thread, or as many as the memory suffices for, and none on a GPU; a
            number of them share the GPU, which has not enough to do for one.
        checkpoint_every: Epochs of pre-training between two checkpoints, from which it continues after a crash.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    inference_batch: int = Field(default=2048, gt=0)
    processes: int = Field(default=1, gt=0)
    machines: int = Field(default=1, gt=0)
    workers: Literal["auto"] | Annotated[int, Field(gt=0)] = 1
    checkpoint_every: int = Field(default=10, gt=0)

    @property
    def processes_in_all(self) -> int:
        """Number of processes on all machines."""
        return self.processes * self.machines

    @property
    def is_worker(self) -> bool:
        """Whether this process was started by torchrun and is not the first."""
        return self.processes_in_all > 1 and int(os.environ.get(_RANK, 0)) > 0

    def resolve(self) -> Compute:
        """Choose device and precision for a single process.

        Raises:
            RuntimeError: if the device is not available.
        """
        device = self._device()
        bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and _multiplies_bfloat16(device))
        return Compute(torch.device(device), bfloat16, self.inference_batch)

    def side_by_side(
        self, work: Callable[[Compute, Sequence[Part]], Iterable[Result]], parts: Sequence[Part]
    ) -> Iterator[Result]:
        """Yield the results of ``work(compute, parts)``; with workers, of groups of parts in processes side by side.

        Args:
            work: A module-level function or a ``partial`` of one, whose large arrays the processes share.
            parts: Independent parts of a computation.
        """
        compute, workers = self.resolve(), self.pool()
        count = min(len(parts), workers.count) if workers else 1
        if workers is None or count <= 1:
            yield from work(compute, parts)
            return
        groups = [tuple(parts[index] for index in group) for group in np.array_split(np.arange(len(parts)), count)]
        for results in workers.map([partial(_list, partial(work, compute, group)) for group in groups]):
            yield from results

    def pool(self) -> Workers | None:
        """Return the worker processes; None if this process computes alone.

        The threads of a worker, which decide how sums are rounded, depend on the settings and the number of threads
        only: not on the memory, and not on how many workers are busy.
        """
        alone = is_worker() or self.processes_in_all > 1 or (self.workers == "auto" and self._device() != "cpu")
        available = available_threads()
        wanted = available if self.workers == "auto" else self.workers
        if alone or wanted == 1:
            return None
        affordable = max(1, free_memory() // _MEMORY_OF_WORKER) if self.workers == "auto" else wanted
        return Workers(min(wanted, affordable), max(1, available // wanted))

    def run(self, work: Callable[..., None], *arguments: object) -> None:
        """Call ``work(compute, *arguments)`` in the configured number of processes.

        Args:
            work: A module-level function, which other processes import by name. It writes its results into tensors
                among its arguments, which processes on one machine share.
            *arguments: Further arguments of ``work``.

        Raises:
            RuntimeError: if several machines are configured, but torchrun has not started this process.
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
            atexit.register(_disconnect)  # processes of a launcher stay connected: further trainings may follow
        run = partial(_run_in_process, single=self.resolve(), work=work, arguments=arguments, stay_connected=launched)
        fabric.launch(run)

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
        device: Device of the tensors.
        bfloat16: Whether encoders and heads multiply in bfloat16.
        inference_batch: Windows embedded at once if no gradient is needed.
        rank: Index of this process, from 0.
        processes: Number of processes.
    """

    def __init__(
        self, device: torch.device, bfloat16: bool, inference_batch: int, fabric: Fabric | None = None
    ) -> None:
        self.device = device
        self.bfloat16 = bfloat16
        self.inference_batch = inference_batch
        self.rank = fabric.global_rank if fabric else 0
        self.processes = fabric.world_size if fabric else 1
        self._fabric = fabric
        self._repeat_results()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._repeat_results()

    def _repeat_results(self) -> None:
        """Let this process compute the same results from the same seeds."""
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic = True

    @property
    def shows_progress(self) -> bool:
        """Whether this process shows progress bars."""
        return self.rank == 0 and shows_progress()

    @property
    def random_devices(self) -> list[int]:
        """CUDA devices whose random state must be restored along with that of the CPU."""
        return [torch.cuda.current_device()] if self.device.type == "cuda" else []

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which encoders and heads run."""
        context: AbstractContextManager[None] = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)
        return context

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's share of a batch; the remainder of one that does not divide evenly is left out."""
        return batch[: len(batch) // self.processes * self.processes].chunk(self.processes)[self.rank]

    def gather(self, share: Tensor) -> Tensor:
        """Return the whole batch, in order, from the shares of all processes.

        Gradients flow into this process's share only. They are multiplied by the number of processes, over which
        :meth:`average_gradients` takes the mean: the result is the sum over shares for parameters used before the
        gathering, and the mean of equal gradients for parameters used after it.
        """
        return share if self._fabric is None else gathering.gather(share, self.processes, self.rank)

    def gather_for_anchors(self, share: Tensor) -> Tensor:
        """Return the whole batch, in order, for a loss of which each process computes the part of its anchors.

        The parts of all processes have gradients with respect to this process's share; their sum flows into it,
        multiplied as in :meth:`gather`.
        """
        return share if self._fabric is None else gathering.gather_for_parts(share, self.processes, self.rank)

    def anchors(self, batch: int) -> slice | None:
        """Return the windows of a gathered batch whose part of a loss this process computes; None if it is alone."""
        if self._fabric is None:
            return None
        share = batch // self.processes
        return slice(self.rank * share, (self.rank + 1) * share)

    def total(self, part: Tensor) -> Tensor:
        """Return the sum of the parts of a loss over all processes, whose gradient is that of this process's part."""
        return part if self._fabric is None else part + (gathering.total(part) - part.detach())

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of every process by their mean over all processes.

        Every process computes the loss of the whole batch; its gradient passes through the share of this process only.
        """
        if self._fabric is None:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        mean = cast(Tensor, self._fabric.all_reduce(flat, reduce_op="mean"))
        for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def __str__(self) -> str:
        return f"{self.device.type}, {'bfloat16' if self.bfloat16 else 'float32'}"


def _list(work: Callable[[], Iterable[Result]]) -> list[Result]:
    return list(work())


def _run_in_process(
    fabric: Fabric, single: Compute, work: Callable[..., None], arguments: Sequence[object], stay_connected: bool
) -> None:
    """Call ``work`` in one of the processes of ``fabric``; they disconnect afterwards unless ``stay_connected``."""
    work(Compute(fabric.device, single.bfloat16, single.inference_batch, fabric), *arguments)
    if not stay_connected:
        _disconnect()


def _disconnect() -> None:
    """Close the connection to the other processes: its threads would abort an interpreter that ends before them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())
    return False
