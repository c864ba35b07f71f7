"""Base class of objectives that project each modality by an encoder and a head of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import Objective, full_precision
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.layers.linear import perceptron
from contrastive_har.signals.sensors import Layout


class ProjectedModalities(Objective):
    """One encoder and one projection head per modality.

    Args:
        encoders: The encoders to train by modality.
        widths: Widths of the layers of a projection head.
        batch_norm: Whether the hidden layers of the heads are normalised over the batch.
        layout: Layout of a window.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], widths: Sequence[int], batch_norm: bool, layout: Layout
    ) -> None:
        super().__init__()
        self.modalities = list(encoders)
        self.layouts = [layout.only([name]) for name in encoders]
        self.channels = [layout.modalities[name] for name in encoders]
        self.parts = nn.ModuleList(encoders.values())
        self.heads = nn.ModuleList(perceptron(encoder.features, widths, batch_norm) for encoder in encoders.values())

    @property
    def encoders(self) -> list[Encoder]:
        """The trained encoders, one per modality."""
        return [cast(Encoder, part) for part in self.parts]

    def divide(self, windows: Tensor) -> list[Tensor]:
        """Return the channels of each modality of ``windows`` (batch, time, channels)."""
        return [windows if len(self.parts) == 1 else windows[..., part].contiguous() for part in self.channels]

    def embed(self, windows: Tensor) -> list[Tensor]:
        """Return the embeddings of each modality of ``windows`` (batch, time, channels)."""
        return [encoder(part) for encoder, part in zip(self.encoders, self.divide(windows), strict=True)]

    def project(self, windows: Tensor) -> list[Tensor]:
        """Return the projections of each modality of ``windows`` (batch, time, channels), without augmentation."""
        return [self.project_one(index, part) for index, part in enumerate(self.divide(windows))]

    def project_one(self, index: int, part: Tensor) -> Tensor:
        """Return the L2-normalised projections (batch, features) of windows of one modality, in full precision."""
        return functional.normalize(full_precision(self.heads[index](self.parts[index](part))), dim=1)
