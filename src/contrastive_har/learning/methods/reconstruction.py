"""Methods that restore what was taken away: the convolutional autoencoder and masked reconstruction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.methods.base import Learner, Objective, Step, draws_for, full_precision
from contrastive_har.models.conv_autoencoder import ConvAutoencoder
from contrastive_har.models.encoder import Encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.transformer import ConvolutionalTransformer, TransformerSettings
from contrastive_har.signals.augmentations import Augmentation, View, make_view


class Autoencoding(Objective):
    """Convolutional autoencoder (Haresamudram et al. 2019): windows through a narrow embedding and back.

    Attributes:
        corruption: Augmentations of what goes in; the window as recorded is to come out. None by default.
    """

    encoders: ClassVar[tuple[str, ...]] = ("conv_autoencoder",)

    objective: Literal["autoencoding"] = "autoencoding"
    corruption: View = ()

    @property
    def augmentations(self) -> Iterable[Augmentation]:
        """The corruption's."""
        return self.corruption

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> Autoencoder:
        """Return a learner that trains ``encoder``."""
        return Autoencoder(cast(ConvAutoencoder, encoder), self, shape[1])


class Autoencoder(Learner):
    """An encoder and its mirror image.

    Args:
        encoder: What is trained, along with a decoder.
        settings: The method's settings.
        sensor_channels: Channels of a window.
    """

    def __init__(self, encoder: ConvAutoencoder, settings: Autoencoding, sensor_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.lengths = encoder.lengths
        self.widths = encoder.widths
        self.expand = nn.Linear(encoder.features, self.widths[-1] * self.lengths[-1])
        self.layers = nn.ModuleList(
            nn.ConvTranspose1d(before, after, 3, padding=1)
            for before, after in zip(self.widths[::-1], (*self.widths[-2::-1], sensor_channels), strict=True)
        )

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return the mean squared error of the restored ``windows`` (batch, time, channels)."""
        corrupted = make_view(windows, self.settings.corruption, draws_for(windows, seed, compute))
        with compute.autocast():
            restored = self.expand(self.encoder(corrupted)).unflatten(1, (self.widths[-1], self.lengths[-1]))
            for index, layer in enumerate(self.layers):
                restored = functional.interpolate(restored, size=self.lengths[-2 - index])
                # The last layer restores signed values: nothing may rectify them.
                restored = layer(restored if index == 0 else functional.relu(restored))
        return Step(
            functional.mse_loss(compute.gather(full_precision(restored).transpose(1, 2)), compute.gather(windows))
        )


class MaskedReconstruction(Objective):
    """Masked reconstruction (Haresamudram et al. 2020): restore samples that were hidden from a transformer.

    Attributes:
        masked: Share of the samples that are set to zero in all channels.
    """

    encoders: ClassVar[tuple[str, ...]] = ("transformer",)

    objective: Literal["masked_reconstruction"] = "masked_reconstruction"
    masked: float = Field(default=0.1, gt=0, lt=1)

    def refusal(self, encoder: EncoderSettings) -> str | None:
        """Return why this method cannot train such an encoder: it restores every sample."""
        if isinstance(encoder, TransformerSettings) and encoder.stride > 1:
            return f"restores every sample, but its encoder sees every {encoder.stride}th; set its stride to 1"
        return super().refusal(encoder)

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> Restoration:
        """Return a learner that trains ``encoder``."""
        return Restoration(cast(ConvolutionalTransformer, encoder), self, shape[1])


class Restoration(Learner):
    """An encoder and one linear layer that restores each sample.

    Args:
        encoder: What is trained, along with that layer.
        settings: The method's settings.
        sensor_channels: Channels of a window.
    """

    def __init__(self, encoder: ConvolutionalTransformer, settings: MaskedReconstruction, sensor_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.width = encoder.width
        self.sequence = encoder.sequence
        self.restore = nn.Linear(encoder.width, sensor_channels)

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return the mean squared error of ``windows`` (batch, time, channels) at the hidden samples only."""
        draws = draws_for(windows, seed, compute)
        hidden = draws.uniform(windows, windows.shape[1], 1) < self.settings.masked
        with compute.autocast():
            restored = self.restore(self.sequence(windows.masked_fill(hidden, 0)))
        errors = (compute.gather(full_precision(restored)) - compute.gather(windows)).square()
        hidden = compute.gather(hidden.float())
        return Step((errors * hidden).sum() / (hidden.sum() * windows.shape[2]).clamp(min=1))
