"""Windows to learn from: normalised once if they fit into memory, or else batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from contrastive_har.files.large_arrays import fits_in_memory
from contrastive_har.signals.neighbours import Neighbours


class Batches:
    """Normalised windows, by their numbers.

    Batches are the same whether windows are held in memory or read anew. Reading those of a random batch from a
    memory-mapped file takes no buffer in which an epoch would have to be shuffled.
    """

    def __init__(
        self,
        signals: Tensor,
        members: Tensor,
        normalise: Callable[[Tensor], Tensor],
        device: torch.device,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Initialise.

        Args:
            signals: All windows (all, time, channels), raw; they may be in a mapped file.
            members: Indices of the windows to learn from (windows,).
            normalise: Normalises windows one by one.
            device: Device of the batches.
            neighbours: Which windows are neighbours; None, if none are asked for.
        """
        self._signals, self._members, self._normalise, self.device = signals, members, normalise, device
        size = signals[:1].nbytes * len(members)
        self._order, self._rank, self._first, self._count = _spans(neighbours, members, device)
        self._held = normalise(signals[members]).to(device) if fits_in_memory(size) else None

    def __len__(self) -> int:
        return len(self._members)

    def take(self, index: Tensor) -> Tensor:
        """Return the windows (batch, time, channels) with some numbers (batch,), which may be on the device."""
        if self._held is not None:
            return self._held.index_select(0, index.to(self.device))
        return self._normalise(self._signals[self._members[index.cpu()]]).to(self.device)

    def draw_neighbours(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Return the number of a random neighbour of each window, itself included, on the device.

        Args:
            index: Numbers of windows (batch,), on the device.
            generator: Generator on the device.
        """
        place = self._rank[index]
        drawn = torch.rand(len(index), device=self.device, generator=generator) * self._count[place]
        # A product may be rounded up to the count.
        return self._order[self._first[place] + drawn.long().minimum(self._count[place] - 1)]


def _spans(neighbours: Neighbours | None, members: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """Return the order of windows in time, each one's rank in it, and each rank's first neighbour and their count."""
    if neighbours is None:
        return (torch.empty(0, dtype=torch.long, device=device),) * 4
    order, first, end = (torch.from_numpy(part).to(device) for part in neighbours.spans(members.numpy()))
    return order, order.argsort(), first, end - first
