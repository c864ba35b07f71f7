"""Residual blocks of dilated convolutions with an output at every sample: TS2Vec's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.encoders.base import BaseEncoderSettings, Encoder, Sensors


class DilatedSettings(BaseEncoderSettings):
    """The encoder's shape; the defaults are the published ones (Yue et al. 2022, arXiv 2106.10466).

    Attributes:
        hidden: Features of the linear layer and of each block but the last.
        features: Width of an embedding.
        blocks: Residual blocks before the last; the n-th has a dilation of 2^(n - 1), the last of 2^blocks.
        kernel: Length of each convolution; odd, so that the number of samples stays the same.
        dropout: Share of the outputs dropped in training.
    """

    name: Literal["dilated"] = "dilated"
    hidden: int = Field(default=64, gt=0)
    features: int = Field(default=320, gt=0)
    blocks: int = Field(default=10, ge=0)
    kernel: int = Field(default=3, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_an_odd_kernel(self) -> DilatedSettings:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd, so that the number of samples stays the same")
        return self

    @property
    def shortest_window(self) -> int:
        """A single sample: convolutions are padded."""
        return 1

    @property
    def depth(self) -> int:
        """Number of stages: the linear layer, then the blocks."""
        return self.blocks + 2

    @property
    def any_length(self) -> bool:
        """Whether an encoder that is built for windows of some length takes shorter ones."""
        return True

    def build(self, sensor_channels: int, length: int, sensors: Sensors = ()) -> Dilated:
        """Return an untrained encoder of windows (batch, ``length``, ``sensor_channels``)."""
        return Dilated(sensor_channels, self)


class Dilated(Encoder):
    """A linear layer, residual blocks, and the maximum over time.

    Args:
        sensor_channels: Channels of a window.
        settings: Shape of the encoder.
    """

    def __init__(self, sensor_channels: int, settings: DilatedSettings) -> None:
        super().__init__()
        self.features = settings.features
        self.shortest_window = settings.shortest_window
        self.project = nn.Linear(sensor_channels, settings.hidden)
        outputs = [settings.hidden] * settings.blocks + [settings.features]
        self.blocks = nn.ModuleList(
            _Block(settings.hidden, width, settings.kernel, 2**index, index == settings.blocks)
            for index, width in enumerate(outputs)
        )
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The linear layer, then each block."""
        return [self.project, *self.blocks]

    def enter(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) as they are."""
        return windows

    def run(self, activations: Tensor, first: int, end: int) -> Tensor:
        """Run stages ``first`` to ``end`` (excluded); the last one also takes the maximum over time."""
        for stage in range(first, end):
            activations = self._stage(activations, stage)
            if stage == self.depth - 1:
                activations = activations.amax(2)
        return activations

    def sequence(self, windows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the output at each sample of ``windows``: (batch, time, features).

        Args:
            windows: (batch, time, channels).
            hidden: Samples of which the output of the linear layer is set to zero (batch, time); none by default.
        """
        activations = self._stage(windows, 0)
        if hidden is not None:
            activations = activations.masked_fill(hidden[:, None], 0)
        for stage in range(1, self.depth):
            activations = self._stage(activations, stage)
        return activations.transpose(1, 2)

    def _stage(self, activations: Tensor, stage: int) -> Tensor:
        """Run one stage; all but the first have activations (batch, features, time)."""
        if stage == 0:
            projected: Tensor = self.project(activations)
            return projected.transpose(1, 2)
        activations = self.blocks[stage - 1](activations)
        return self.dropout(activations) if stage == self.depth - 1 else activations


class _Block(nn.Module):
    """GELU and a dilated convolution, twice, beside a shortcut; with a convolution of one sample if widths differ."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, last: bool) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.first = nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation)
        self.second = nn.Conv1d(outputs, outputs, kernel, padding=padding, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs or last else nn.Identity()

    def forward(self, activations: Tensor) -> Tensor:
        convolved = self.second(functional.gelu(self.first(functional.gelu(activations))))
        added: Tensor = convolved + self.shortcut(activations)
        return added
