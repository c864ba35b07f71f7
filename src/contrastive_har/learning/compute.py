"""Where and how precisely to compute: one setting for a laptop, a GPU or a Mac."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field


class ComputeSettings(BaseModel):
    """The machine's part of the configuration.

    Attributes:
        device: ``auto`` takes CUDA, then Apple's MPS, then the CPU.
        precision: ``auto`` takes bfloat16 where the processor multiplies it in hardware; the weights, the loss and
            the optimiser stay in float32.
        inference_batch: Windows embedded at once where no gradient is needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    inference_batch: int = Field(default=2048, gt=0)

    def resolve(self) -> Compute:
        """Look at the machine and decide.

        Raises:
            RuntimeError: if a device was asked for that is not there.
        """
        device = self.device
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        if device == "auto":
            device = next(name for name in ("cuda", "mps", "cpu") if available[name])
        if not available[device]:
            raise RuntimeError(f"device '{device}' is not available on this machine; use device: auto.")
        if device == "cuda":
            torch.backends.cudnn.deterministic = True  # the same seed, the same numbers
        bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and _multiplies_bfloat16(device))
        return Compute(torch.device(device), bfloat16, self.inference_batch)


class Compute:
    """A resolved device and precision."""

    def __init__(self, device: torch.device, bfloat16: bool, inference_batch: int) -> None:
        self.device = device
        self.bfloat16 = bfloat16
        self.inference_batch = inference_batch

    @property
    def random_devices(self) -> list[int]:
        """CUDA devices whose random state must be kept along with the CPU's."""
        return [torch.cuda.current_device()] if self.device.type == "cuda" else []

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which encoders and heads run."""
        context: AbstractContextManager[None] = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)
        return context

    def __str__(self) -> str:
        return f"{self.device.type}, {'bfloat16' if self.bfloat16 else 'float32'}"


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())
    return False
