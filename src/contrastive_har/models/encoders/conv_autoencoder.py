"""The convolutional autoencoder's encoder half after Haresamudram et al. 2019, with layer sizes of this project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors


class ConvAutoencoderSettings(BaseEncoderSettings):
    """The encoder's shape.

    Attributes:
        channels: Outputs of each convolution; each is followed by ReLU and pooling by two.
        latent: Width of the embedding.
    """

    name: Literal["conv_autoencoder"] = "conv_autoencoder"
    channels: tuple[int, ...] = Field(default=(32, 64, 128), min_length=1)
    latent: int = Field(default=128, gt=0)

    @property
    def shortest_window(self) -> int:
        """Fewest samples of which pooling leaves one."""
        return int(2 ** len(self.channels))

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels) + 1

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> ConvAutoencoder:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return ConvAutoencoder(sensor_channels, length, self)


class ConvAutoencoder(Encoder):
    """Convolutions that keep the length, each with ReLU and max pooling, then one linear layer.

    Args:
        sensor_channels: Channels of a window.
        length: Samples of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, length: int, settings: ConvAutoencoderSettings) -> None:
        super().__init__()
        self.features = settings.latent
        self.shortest_window = settings.shortest_window
        self.widths = settings.channels
        self.lengths = [length]
        inputs = (sensor_channels, *settings.channels[:-1])
        blocks: list[nn.Module] = []
        for before, after in zip(inputs, settings.channels, strict=True):
            blocks.append(nn.Sequential(nn.Conv1d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2)))
            self.lengths.append(self.lengths[-1] // 2)
        self.blocks = nn.ModuleList(blocks)
        self.latent = nn.Linear(settings.channels[-1] * self.lengths[-1], settings.latent)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution, then the linear layer."""
        return [*self.blocks, self.latent]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as (batch, channels, time)."""
        return windows.transpose(1, 2)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded)."""
        for stage in range(first, end):
            activations = self.stages[stage](activations.flatten(1) if stage == self.depth - 1 else activations)
        return activations
