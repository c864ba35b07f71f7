"""TARNet, a transformer that also reconstructs samples important to its task (Chowdhury et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from contrastive_har.models.encoders.base import Sensors
from contrastive_har.models.encoders.transformer import BaseTransformerSettings, ConvolutionalTransformer


class TARNetSettings(BaseTransformerSettings):
    """The encoder of :class:`TransformerSettings` in TARNet's shape for PAMAP2, and its reconstruction.

    Attributes:
        layers: Transformer layers; eight as published, two by default, which train four times as fast.
        attended: Share of the samples that are important: those that receive most attention.
        masked: Share of the samples that are hidden, drawn from the important ones.
        masked_weight: Share of the hidden samples' error in the loss of the reconstruction.
        task_rate: Share of the task in the whole loss.
    """

    name: Literal["tarnet"] = "tarnet"
    channels: tuple[int, ...] = (64,)
    kernels: tuple[int, ...] = (1,)
    batch_norm: bool = False
    layers: int = Field(default=2, gt=0)
    feedforward: int = Field(default=128, gt=0)
    dropout: float = Field(default=0.01, ge=0, lt=1)
    attention_dropout: bool = False
    pooling: Literal["flatten", "mean"] = "mean"
    attended: float = Field(default=0.5, gt=0, le=1)
    masked: float = Field(default=0.15, gt=0, le=1)
    masked_weight: float = Field(default=0.8, ge=0, le=1)
    task_rate: float = Field(default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _can_reconstruct(self) -> TARNetSettings:
        if self.masked > self.attended:
            raise ValueError(f"masked {self.masked} must be at most attended {self.attended}, of which it is a part")
        if self.uneven:
            raise ValueError(f"every sample is reconstructed, but {self.uneven}")
        return self

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> TARNet:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return TARNet(sensor_channels, length, self)


class TARNet(ConvolutionalTransformer):
    """A transformer that is trained for a task and to reconstruct the samples that its last layer attends to.

    As published, both are trained in turn, in every epoch; here their losses are added in every step. How the published
    network pools the samples and reconstructs them is not taken over: here their mean is the embedding, and a linear
    layer reconstructs each.

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Shape of the encoder, and its reconstruction.
    """

    def __init__(self, sensor_channels: int, length: int, settings: TARNetSettings) -> None:
        super().__init__(sensor_channels, length, settings)
        self.settings = settings
        self.restore = nn.Linear(self.width, sensor_channels)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The convolutions and positions, and the layer that reconstructs samples; then each transformer layer."""
        first, *layers = super().stages
        return [nn.ModuleList([first, self.restore]), *layers]

    def auxiliary_loss(self, activations: Tensor) -> Tensor:
        """Return the loss of reconstructing the windows whose entered ``activations`` are (batch, channels, time).

        It is a weighted mean of the squared errors at hidden and at other samples, times the share that ``task_rate``
        leaves for it, relative to that of the task.
        """
        windows = activations.transpose(1, 2)
        hidden = self.hide(self.attention(activations)).unsqueeze(2)
        restored = self.restore(self.sequence(windows.masked_fill(hidden, 0)))
        errors = (restored.to(windows.dtype) - windows).square()
        weight, rate = self.settings.masked_weight, self.settings.task_rate
        loss = weight * _mean(errors, hidden) + (1 - weight) * _mean(errors, ~hidden)
        return loss * (1 - rate) / rate

    def attention(self, activations: Tensor) -> Tensor:
        """Return the attention (batch, time) that each sample receives from all others in the last layer."""
        # Not without gradients: weights that autocast converts there would have none afterwards either.
        steps = self.run(activations, 0, self.depth - 1).detach()
        last = cast(nn.MultiheadAttention, self.layers[-1].self_attn)
        _, weights = last(steps, steps, steps)  # (batch, from, to), the mean of all heads
        received: Tensor = weights.sum(1) - weights.diagonal(dim1=1, dim2=2)
        return received.detach()

    def hide(self, attention: Tensor) -> Tensor:
        """Return which samples (batch, time) are hidden: random ones of those with the most ``attention``."""
        time = attention.shape[1]
        count = max(1, int(self.settings.masked * time))
        important = attention.topk(max(count, int(self.settings.attended * time)), dim=1).indices
        drawn = torch.rand(important.shape, device=attention.device).topk(count, dim=1).indices
        hidden = torch.zeros(attention.shape, dtype=torch.bool, device=attention.device)
        return hidden.scatter(1, important.gather(1, drawn), True)


def _mean(errors: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of ``errors`` (batch, time, channels) at the chosen samples (batch, time, 1); of none, 0."""
    return (errors * chosen).sum() / (chosen.sum() * errors.shape[2]).clamp(min=1)
