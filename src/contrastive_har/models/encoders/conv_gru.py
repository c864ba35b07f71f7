"""CPC's encoder: convolutions over a few samples and a GRU over all earlier ones (Haresamudram et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors


class ConvGRUSettings(BaseEncoderSettings):
    """The encoder's shape; the defaults are the published ones.

    Attributes:
        channels: Outputs of each convolution.
        kernel: Length of the convolutions; odd, so that the number of samples stays the same.
        hidden: Width of the GRU and of the embedding.
        layers: Layers of the GRU.
        dropout: Dropout after each convolution and between the layers of the GRU.
    """

    name: Literal["conv_gru"] = "conv_gru"
    channels: tuple[int, ...] = Field(default=(32, 64, 128), min_length=1)
    kernel: Literal[1, 3, 5, 7, 9] = 3
    hidden: int = Field(default=256, gt=0)
    layers: int = Field(default=2, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @property
    def shortest_window(self) -> int:
        """Fewest samples of a window for reflection padding."""
        return self.kernel // 2 + 1

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels) + 1

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> ConvGRU:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return ConvGRU(sensor_channels, self)


class ConvGRU(Encoder):
    """Convolutions with reflected ends, ReLU and dropout, then a GRU; the embedding is its last output.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: ConvGRUSettings) -> None:
        super().__init__()
        self.features = settings.hidden
        self.shortest_window = settings.shortest_window
        self.local_width = settings.channels[-1]
        inputs = (sensor_channels, *settings.channels[:-1])
        reach = settings.kernel // 2
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, after, settings.kernel, padding=reach, padding_mode="reflect", bias=False),
                nn.ReLU(),
                nn.Dropout(settings.dropout),
            )
            for before, after in zip(inputs, settings.channels, strict=True)
        )
        between = settings.dropout if settings.layers > 1 else 0.0
        self.context = nn.GRU(self.local_width, settings.hidden, settings.layers, batch_first=True, dropout=between)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution, then the GRU."""
        return [*self.blocks, self.context]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as (batch, channels, time)."""
        return windows.transpose(1, 2)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded)."""
        for stage in range(first, end):
            if stage < len(self.blocks):
                activations = self.blocks[stage](activations)
            else:
                activations = self.context(activations.transpose(1, 2))[0][:, -1]
        return activations

    def local(self, windows: Tensor) -> Tensor:
        """Return the features of the convolutions at every sample of ``windows``: (batch, time, features)."""
        return self.run(self.enter(windows), 0, len(self.blocks)).transpose(1, 2)
