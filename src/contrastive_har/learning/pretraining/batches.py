"""Windows to learn from: normalised once if they fit into memory, or else batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from contrastive_har.files.large_arrays import fits_in_memory


class Batches:
    """Normalised windows, by their numbers.

    Batches are the same whether windows are held in memory or read anew. Reading those of a random batch from a
    memory-mapped file takes no buffer in which an epoch would have to be shuffled.
    """

    def __init__(
        self, signals: Tensor, members: Tensor, normalise: Callable[[Tensor], Tensor], device: torch.device
    ) -> None:
        """Initialise.

        Args:
            signals: All windows (all, time, channels), raw; they may be in a mapped file.
            members: Indices of the windows to learn from (windows,).
            normalise: Normalises windows one by one.
            device: Device of the batches.
        """
        self._signals, self._members, self._normalise, self.device = signals, members, normalise, device
        size = signals[:1].nbytes * len(members)
        self._held = normalise(signals[members]).to(device) if fits_in_memory(size) else None

    def __len__(self) -> int:
        return len(self._members)

    def take(self, index: Tensor) -> Tensor:
        """Return the windows (batch, time, channels) with some numbers (batch,), which may be on the device."""
        if self._held is not None:
            return self._held.index_select(0, index.to(self.device))
        return self._normalise(self._signals[self._members[index.cpu()]]).to(self.device)
