"""Convolutions and a transformer over time: CSSHAR's encoder.

With other settings it is masked reconstruction's, TST or the network of TARNet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.layers.attention import SelfAttention
from contrastive_har.models.layers.transformer import BatchNormOfSteps, TransformerLayer

_LARGEST_POSITION = 0.02  # initial learned positions, as in TST


class BaseTransformerSettings(BaseEncoderSettings):
    """The shape of an encoder with a transformer; the defaults are CSSHAR's for UCI-HAR.

    Attributes:
        channels: Outputs of each convolution; the last is the transformer's width.
        kernels: Length of each convolution.
        padding: Zeros at both ends of each convolution's input; ``same`` keeps the number of samples, for which
            kernels are odd.
        stride: Stride of the last convolution: the transformer has one step per ``stride`` samples.
        batch_norm: Whether a convolution is followed by batch normalisation and ``activation``.
        activation: ``leaky_relu`` (CSSHAR) or ``relu``.
        positions: ``sinusoidal``, or ``learned`` for each step.
        layers: Transformer layers.
        heads: Attention heads; the width is a multiple of them.
        feedforward: Width of the hidden part of a layer.
        feedforward_activation: Activation of the hidden part, ``relu`` or ``gelu``.
        normalisation: In a layer, ``layer`` over the features of each step, or ``batch`` of each feature over the steps
            of all windows.
        dropout: Dropout inside the transformer and after the positions are added.
        attention_dropout: Whether attention is dropped as well, which on a CPU makes it two to four times as slow.
        pooling: ``flatten`` concatenates all time steps (CSSHAR), ``mean`` averages them.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    kernels: tuple[int, ...] = (3, 3, 3)
    padding: Literal["same"] | Annotated[int, Field(ge=0)] = "same"
    stride: int = Field(default=1, gt=0)
    batch_norm: bool = True
    activation: Literal["leaky_relu", "relu"] = "leaky_relu"
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    layers: int = Field(default=8, gt=0)
    heads: int = Field(default=8, gt=0)
    feedforward: int = Field(default=2048, gt=0)
    feedforward_activation: Literal["relu", "gelu"] = "relu"
    normalisation: Literal["layer", "batch"] = "layer"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: bool = True
    pooling: Literal["flatten", "mean"] = "flatten"

    @model_validator(mode="after")
    def _is_consistent(self) -> BaseTransformerSettings:
        if not self.channels or len(self.channels) != len(self.kernels):
            raise ValueError(f"channels {self.channels} and kernels {self.kernels} must be equally many")
        if self.padding == "same" and any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels {self.kernels} must be odd, so that the number of samples stays the same")
        if self.channels[-1] % self.heads or self.channels[-1] % 2:
            raise ValueError(f"the last of channels {self.channels} must be even and divisible by heads {self.heads}")
        return self

    @property
    def shortest_window(self) -> int:
        """Fewest samples for which each convolution has an output."""
        needed = 1
        for kernel, padding, stride in reversed(self.convolutions):
            needed = max(1, (needed - 1) * stride + kernel - 2 * padding)
        return needed

    @property
    def convolutions(self) -> list[tuple[int, int, int]]:
        """Kernel, padding and stride of each convolution."""
        strides = (*(1 for _ in self.kernels[1:]), self.stride)
        paddings = [kernel // 2 if self.padding == "same" else self.padding for kernel in self.kernels]
        return list(zip(self.kernels, paddings, strides, strict=True))

    def steps(self, length: int) -> int:
        """Return the steps of the transformer for windows of ``length`` samples; 0 if they are too short."""
        if length < self.shortest_window:
            return 0
        for kernel, padding, stride in self.convolutions:
            length = (length + 2 * padding - kernel) // stride + 1
        return length

    @property
    def uneven(self) -> str | None:
        """Why the transformer does not have one step per sample, and the cure; None if it has."""
        if self.stride > 1:
            return f"its encoder has a stride of {self.stride}; set its stride to 1"
        if self.steps(self.shortest_window) != self.shortest_window:
            return "its encoder has fewer or more steps; set its padding to same"
        return None

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return self.pooling == "mean"

    @property
    def depth(self) -> int:
        """Number of stages: the convolutions together, then the layers."""
        return 1 + self.layers

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> ConvolutionalTransformer:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return ConvolutionalTransformer(sensor_channels, length, self)


class TransformerSettings(BaseTransformerSettings):
    """CSSHAR's shape, unless it is set otherwise."""

    name: Literal["transformer"] = "transformer"


class ConvolutionalTransformer(Encoder):
    """Convolutions, positions, transformer layers (Khaertdinov et al. 2021, CSSHAR).

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, length: int, settings: BaseTransformerSettings) -> None:
        super().__init__()
        self.shortest_window = length if settings.pooling == "flatten" else settings.shortest_window
        self.width = settings.channels[-1]
        self.pooling = settings.pooling
        steps = settings.steps(length)
        self.features = self.width * (steps if settings.pooling == "flatten" else 1)
        inputs = (sensor_channels, *settings.channels[:-1])
        parts: list[nn.Module] = []
        for before, after, shape in zip(inputs, settings.channels, settings.convolutions, strict=True):
            kernel, padding, stride = shape
            parts.append(nn.Conv1d(before, after, kernel, stride, padding))
            if settings.batch_norm:
                parts += [nn.BatchNorm1d(after), nn.ReLU() if settings.activation == "relu" else nn.LeakyReLU()]
        self.convolutions = nn.Sequential(*parts)
        self.layers = nn.ModuleList(_layer(self.width, settings) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.positions = _Positions(steps, self.width, settings.positions == "learned")

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The convolutions and positions together, then each transformer layer."""
        return [nn.ModuleList([self.convolutions, self.positions]), *self.layers]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as (batch, channels, time)."""
        return windows.transpose(1, 2)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one also pools."""
        for stage in range(first, end):
            activations = self._stage(activations, stage)
            if stage == self.depth - 1:
                activations = self.dropout(activations)
                activations = activations.flatten(1) if self.pooling == "flatten" else activations.mean(1)
        return activations

    def sequence(self, windows: Tensor) -> Tensor:
        """Return the output of the last layer at each step of ``windows``: (batch, steps, width)."""
        activations = self.enter(windows)
        for stage in range(self.depth):
            activations = self._stage(activations, stage)
        return activations

    def _stage(self, activations: Tensor, stage: int) -> Tensor:
        if stage == 0:
            activations = self.dropout(self.positions(self.convolutions(activations).transpose(1, 2)))
        else:
            activations = self.layers[stage - 1](activations)
        return activations


class _Positions(nn.Module):
    """Adds to each step of (batch, steps, width) what tells it from the others."""

    values: Tensor

    def __init__(self, steps: int, width: int, learned: bool) -> None:
        super().__init__()
        if learned:
            self.values = nn.Parameter(torch.empty(steps, width).uniform_(-_LARGEST_POSITION, _LARGEST_POSITION))
        else:
            self.register_buffer("values", _sinusoids(steps, width), persistent=False)

    def forward(self, steps: Tensor) -> Tensor:
        return steps + self.values[: steps.shape[1]]


def _layer(width: int, settings: BaseTransformerSettings) -> nn.Module:
    heads, hidden, dropout = settings.heads, settings.feedforward, settings.dropout
    layer: nn.TransformerEncoderLayer | TransformerLayer
    if settings.normalisation == "layer":
        activation = settings.feedforward_activation
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, activation, batch_first=True)
        with torch.device("meta"):  # no other random weights
            attention = SelfAttention(width, heads, batch_first=True)
        attention.load_state_dict(layer.self_attn.state_dict(), assign=True)
        layer.self_attn = attention
    else:
        rectify = nn.GELU() if settings.feedforward_activation == "gelu" else nn.ReLU()
        feedforward = nn.Sequential(nn.Linear(width, hidden), rectify, nn.Dropout(dropout), nn.Linear(hidden, width))
        layer = TransformerLayer(width, heads, dropout, feedforward, BatchNormOfSteps)
    layer.self_attn.dropout = dropout if settings.attention_dropout else 0.0
    return layer


def _sinusoids(length: int, width: int) -> Tensor:
    """Return the positions of Vaswani et al. 2017, section 3.5: (length, width)."""
    # On the CPU also if the encoder is built on the meta device, for its shapes only.
    rates = torch.exp(torch.arange(0, width, 2, device="cpu") * (-math.log(10000.0) / width))
    angles = torch.arange(length, device="cpu").unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
