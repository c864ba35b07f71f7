"""DeepConvLSTM (Ordóñez and Roggen 2016), in the shape used by the ClusterCLHAR authors' earlier work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors, as_image
from contrastive_har.models.layers.linear import initialise_like_keras


class DeepConvLSTMSettings(BaseEncoderSettings):
    """The encoder's shape.

    Attributes:
        convolutions: Number of convolutions.
        kernel: Length of the convolutions.
        width: Outputs of each convolution and of each LSTM.
        recurrent: Number of LSTM layers.
    """

    name: Literal["deepconvlstm"] = "deepconvlstm"
    convolutions: int = Field(default=4, gt=0)
    kernel: int = Field(default=5, gt=0)
    width: int = Field(default=128, gt=0)
    recurrent: int = Field(default=2, gt=0)

    @property
    def shortest_window(self) -> int:
        """Fewest samples for which a convolution output is left."""
        return self.convolutions * (self.kernel - 1) + 1

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages."""
        return self.convolutions + self.recurrent

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> DeepConvLSTM:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return DeepConvLSTM(sensor_channels, self)


class DeepConvLSTM(Encoder):
    """Valid convolutions with ReLU, then LSTMs; the embedding is the last output of the last LSTM.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: DeepConvLSTMSettings) -> None:
        super().__init__()
        self.features = settings.width
        self.shortest_window = settings.shortest_window
        self.convolutions = nn.ModuleList(
            initialise_like_keras(
                nn.Conv2d(settings.width if index else sensor_channels, settings.width, (1, settings.kernel))
            )
            for index in range(settings.convolutions)
        )
        self.recurrent = nn.ModuleList(
            nn.LSTM(settings.width, settings.width, batch_first=True) for _ in range(settings.recurrent)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution, then each LSTM."""
        return [*self.convolutions, *self.recurrent]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as (batch, channels, 1, time), without copying."""
        return as_image(windows)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one returns its last output only."""
        for stage in range(first, end):
            if stage < len(self.convolutions):
                activations = functional.relu(self.convolutions[stage](activations), inplace=True)
                if stage == len(self.convolutions) - 1:
                    activations = activations.squeeze(2).transpose(1, 2)
            else:
                activations = self.recurrent[stage - len(self.convolutions)](activations)[0]
                if stage == self.depth - 1:
                    activations = activations[:, -1]
        return activations
