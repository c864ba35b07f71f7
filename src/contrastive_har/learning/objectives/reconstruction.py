"""Objectives that reconstruct windows: the convolutional autoencoder and masked reconstruction."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult, full_precision
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoder
from contrastive_har.models.encoders.transformer import BaseTransformerSettings, ConvolutionalTransformer
from contrastive_har.signals.augmentations import View, make_view
from contrastive_har.signals.sensors import Layout


class AutoencodingSettings(BaseObjectiveSettings):
    """Convolutional autoencoder (Haresamudram et al. 2019): windows are reconstructed from a narrow embedding.

    Attributes:
        corruption: Augmentations of the input; the target is the window as recorded. Empty by default.
    """

    suits: ClassVar[tuple[str, ...]] = ("conv_autoencoder",)

    name: Literal["autoencoding"] = "autoencoding"
    corruption: View = ()

    def views_of(self, modality: str) -> tuple[View, ...]:
        """Return the corrupted window as the only view."""
        return (self.corruption,)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> Autoencoding:
        """Return the objective that trains ``encoder``."""
        return Autoencoding(cast(ConvAutoencoder, encoder), self, layout)


class Autoencoding(Objective):
    """An encoder and a decoder that mirrors it.

    Args:
        encoder: The encoder to train, along with a decoder.
        settings: Corruption of the input.
        layout: Layout of a window.
    """

    def __init__(self, encoder: ConvAutoencoder, settings: AutoencodingSettings, layout: Layout) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.layout = layout
        self.lengths = encoder.lengths
        self.widths = encoder.widths
        self.expand = nn.Linear(encoder.features, self.widths[-1] * self.lengths[-1])
        self.layers = nn.ModuleList(
            nn.ConvTranspose1d(before, after, 3, padding=1)
            for before, after in zip(self.widths[::-1], (*self.widths[-2::-1], layout.width), strict=True)
        )

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the mean squared error of the reconstructed ``windows`` (batch, time, channels)."""
        compute = step.compute
        corrupted = make_view(windows, self.settings.corruption, step.draws(windows), self.layout)
        with compute.autocast():
            restored = self.expand(self.encoder(corrupted)).unflatten(1, (self.widths[-1], self.lengths[-1]))
            for index, layer in enumerate(self.layers):
                restored = functional.interpolate(restored, size=self.lengths[-2 - index])
                # No ReLU after the last layer, whose outputs are signed.
                restored = layer(restored if index == 0 else functional.relu(restored))
        return StepResult(
            functional.mse_loss(compute.gather(full_precision(restored).transpose(1, 2)), compute.gather(windows))
        )


class MaskedReconstructionSettings(BaseObjectiveSettings):
    """Masked reconstruction (Haresamudram et al. 2020): reconstruct samples that were hidden from a transformer.

    Attributes:
        masked: Share of the samples that are set to zero in all channels.
        span: Samples that are hidden together; with more than one, masked autoencoding (He et al. 2021, arXiv
            2111.06377), whose hidden patches cannot be interpolated from their neighbours.
    """

    suits: ClassVar[tuple[str, ...]] = ("transformer", "tst", "tarnet")

    name: Literal["masked_reconstruction"] = "masked_reconstruction"
    masked: float = Field(default=0.1, gt=0, lt=1)
    span: int = Field(default=1, gt=0)

    def refusal(self, encoder: EncoderSettings) -> str | None:
        """Return why this objective cannot train the encoder: it reconstructs every sample."""
        if isinstance(encoder, BaseTransformerSettings) and encoder.uneven:
            return f"reconstructs every sample, but {encoder.uneven}"
        return super().refusal(encoder)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> MaskedReconstruction:
        """Return the objective that trains ``encoder``."""
        return MaskedReconstruction(cast(ConvolutionalTransformer, encoder), self, layout)


class MaskedReconstruction(Objective):
    """An encoder and one linear layer that reconstructs each sample.

    Args:
        encoder: The encoder to train, along with that layer.
        settings: Share of the samples to hide, and how many together.
        layout: Layout of a window.
    """

    def __init__(
        self, encoder: ConvolutionalTransformer, settings: MaskedReconstructionSettings, layout: Layout
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.width = encoder.width
        self.sequence = encoder.sequence
        self.restore = nn.Linear(encoder.width, layout.width)

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the mean squared error of ``windows`` (batch, time, channels) at the hidden samples only."""
        compute, draws = step.compute, step.draws(windows)
        length, span = windows.shape[1], self.settings.span
        hidden = draws.uniform(windows, -(-length // span), 1) < self.settings.masked
        hidden = hidden.repeat_interleave(span, dim=1)[:, :length]
        with compute.autocast():
            restored = self.restore(self.sequence(windows.masked_fill(hidden, 0)))
        errors = (compute.gather(full_precision(restored)) - compute.gather(windows)).square()
        hidden = compute.gather(hidden.float())
        return StepResult((errors * hidden).sum() / (hidden.sum() * windows.shape[2]).clamp(min=1))
