"""Convolutions on short-time spectra instead of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors
from contrastive_har.models.layers.dropout import Dropout
from contrastive_har.models.layers.linear import initialise_like_keras

_SCALE = 4.0  # brings logarithms of power near the range of the means


class SpectralSettings(BaseEncoderSettings):
    """The encoder's shape; it is this project's own.

    Attributes:
        segment: Samples of a spectrum.
        hop: Samples from the beginning of one spectrum to that of the next.
        floor: Power below which a frequency counts as silent, in squares of the channel's deviation.
        channels: Filters of each convolution over the spectra.
        kernel: Spectra that a filter sees; odd, so that their number stays the same.
        dropout: Share of activations dropped after each convolution.
    """

    name: Literal["spectral"] = "spectral"
    segment: int = Field(default=32, gt=1)
    hop: int = Field(default=8, gt=0)
    floor: float = Field(default=1e-4, gt=0)
    channels: tuple[int, ...] = Field(default=(128, 128), min_length=1)
    kernel: int = Field(default=3, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_an_odd_kernel(self) -> SpectralSettings:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd, so that the number of spectra stays the same")
        return self

    @property
    def shortest_window(self) -> int:
        """Samples of one spectrum."""
        return self.segment

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.channels)

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> Spectral:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return Spectral(sensor_channels, self)


class Spectral(Encoder):
    """Spectra of overlapping segments, convolutions over them with ReLU, then their mean and maximum over time.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: SpectralSettings) -> None:
        super().__init__()
        self.settings = settings
        self.features = 2 * settings.channels[-1]
        self.shortest_window = settings.shortest_window
        inputs = (sensor_channels * (settings.segment // 2 + 1), *settings.channels[:-1])
        self.blocks = nn.ModuleList(
            nn.Sequential(
                initialise_like_keras(nn.Conv1d(before, after, settings.kernel, padding=settings.kernel // 2)),
                nn.ReLU(inplace=True),
                Dropout(settings.dropout),
            )
            for before, after in zip(inputs, settings.channels, strict=True)
        )

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Each convolution with what follows it."""
        return list(self.blocks)

    def enter(self, windows: Tensor) -> Tensor:
        """Return the spectra of ``windows`` (batch, time, channels), (batch, channels times frequencies, spectra)."""
        settings = self.settings
        return spectra(windows, settings.segment, settings.hop, settings.floor)

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one also pools."""
        for stage in range(first, end):
            activations = self.blocks[stage](activations)
            if stage == len(self.blocks) - 1:
                activations = torch.cat([activations.mean(2), activations.amax(2)], dim=1)
        return activations


def spectra(windows: Tensor, segment: int, hop: int, floor: float) -> Tensor:
    """Return the mean and the log-power of each frequency in overlapping segments of windows.

    Segments are multiplied by a Hann window; the transform is a product with a fixed matrix, which exports to ONNX. The
    mean stands in the place of the power of frequency zero: its sign tells how a sensor is tilted.

    Args:
        windows: (batch, time, channels).
        segment: Samples of a segment.
        hop: Samples from one segment to the next; those at the end that fill none are left out.
        floor: Smallest power.

    Returns:
        (batch, channels times (segment // 2 + 1), segments), the frequencies of a channel side by side.
    """
    time = torch.arange(segment, device=windows.device, dtype=windows.dtype)
    angles = 2 * torch.pi / segment * time.outer(time[1 : segment // 2 + 1])  # (time, frequencies)
    hann = torch.sin(torch.pi / segment * (time + 0.5)).square().unsqueeze(1)
    segments = windows.transpose(1, 2).unfold(2, segment, hop)  # (batch, channels, segments, time)
    mean = segments.mean(3, keepdim=True)
    centred = segments - mean
    power = (centred @ (hann * angles.cos())).square() + (centred @ (hann * angles.sin())).square()
    values = torch.cat([mean, (power / segment).clamp(min=floor).log() / _SCALE], dim=3)
    return values.transpose(2, 3).flatten(1, 2)
