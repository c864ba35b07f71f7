"""Complexity of recognisers: their size, the arithmetic of one window, and the time that a batch takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from contrastive_har.models.recogniser import Recogniser

BATCH = 32
"""Windows in a batch whose time is taken."""

_MOST_ROUNDS, _FEWEST_ROUNDS, _SECONDS = 5, 3, 4.0


@dataclass(frozen=True)
class Size:
    """The size of a recogniser, and the arithmetic of one window.

    Attributes:
        parameters: Numbers that training or fitting sets: the encoders' parameters, and the state of the head.
        state_bytes: Bytes of its weights, normalisation and computed statistics included.
        multiply_adds: Multiplications, each with an addition, in the matrix products, convolutions and attention of one
            window. Normalisation, activations, pooling, sorting and the decisions of trees are not counted.
    """

    parameters: int
    state_bytes: int
    multiply_adds: int


def measure_size(network: Recogniser, window: Tensor) -> Size:
    """Return the size of a recogniser in evaluation mode, and the arithmetic of a ``window`` (1, time, channels)."""
    learned = [*network.backbone.parameters(), *network.head.state_dict().values()]
    return Size(
        parameters=sum(values.numel() for values in learned),
        state_bytes=sum(values.nbytes for values in network.state_dict().values()),
        multiply_adds=_multiply_adds(network, window),
    )


def time_batches(networks: Sequence[nn.Module], batches: Sequence[Tensor]) -> list[float]:
    """Return the median milliseconds that each network takes for its batch, on one thread of the processor.

    The networks take turns, so that what else the machine does slows all of them alike. After one round to warm up
    there are three, and up to five within a few seconds.
    """
    rounds: list[list[float]] = []
    with torch.inference_mode(), _one_thread():
        for network, batch in zip(networks, batches, strict=True):
            network(batch)
        started = time.perf_counter()
        while len(rounds) < _FEWEST_ROUNDS or (len(rounds) < _MOST_ROUNDS and time.perf_counter() - started < _SECONDS):
            rounds.append([_seconds(network, batch) for network, batch in zip(networks, batches, strict=True)])
    medians: list[float] = (1000 * np.median(rounds, axis=0)).tolist()
    return medians


def _seconds(network: nn.Module, batch: Tensor) -> float:
    started = time.perf_counter()
    network(batch)
    return time.perf_counter() - started


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _multiply_adds(network: nn.Module, window: Tensor) -> int:
    counter = FlopCounterMode(display=False, custom_mapping=dict(_UNKNOWN_TO_TORCH))
    # With gradients, transformer layers are not fused into a single operation, which would not be counted.
    with torch.enable_grad(), counter:
        network(window)
    return int(counter.get_total_flops()) // 2


def _lstm(inputs: Sequence[int], of_inputs: Sequence[int], of_states: Sequence[int], *_: Any, **__: Any) -> int:
    steps, batch, _features = inputs
    return 2 * steps * batch * (prod(of_inputs) + prod(of_states))


def _attention(queries: Sequence[int], keys: Sequence[int], values: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(queries[:-1]) * keys[-2] * (queries[-1] + values[-1])


_UNKNOWN_TO_TORCH: Mapping[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: _lstm,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
"""Floating-point operations, two for each multiply-add, by the shapes of what an operation on the processor takes."""
