"""Seeds derived from names, so that results do not depend on the order of execution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *names: object) -> int:
    """Return a 63-bit seed that depends on ``seed`` and the names only."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int, devices: Sequence[int] | None = None) -> Iterator[None]:
    """Seed PyTorch's global random state, from which initial weights and dropout are drawn; restore it afterwards.

    Args:
        seed: Seed inside the block.
        devices: CUDA devices whose state is restored; all devices are seeded. None seeds and restores the CPU only.
    """
    with torch.random.fork_rng(devices=devices or ()):
        if devices is None:
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield
