"""Linear layers as the published models initialise them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", nn.Conv1d, nn.Conv2d, nn.Linear)


def initialise_like_keras(layer: Layer) -> Layer:
    """Return ``layer`` with Glorot-uniform weights and zero bias, the defaults of the published models' framework."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return an initialised linear layer."""
    return initialise_like_keras(nn.Linear(inputs, outputs))


def perceptron(features: int, widths: Sequence[int], batch_norm: bool = False) -> nn.Sequential:
    """Return linear layers of ``widths`` with ReLU between, none after the last, such as a projection head.

    With ``batch_norm``, the outputs of all but the last are normalised before the ReLU.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise((features, *widths)):
        layers += [linear(before, after), *([nn.BatchNorm1d(after)] if batch_norm else []), nn.ReLU()]
    return nn.Sequential(*layers[: -2 if batch_norm else -1])
