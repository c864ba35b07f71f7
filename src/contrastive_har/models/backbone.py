"""The backbone: one encoder per modality, each with the normalisation of its channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from contrastive_har.models.encoders.base import Encoder

TrainedStages = int | Literal["all"]
"""Number of last stages of each encoder that are trained."""


class Backbone(nn.Module):
    """Raw windows (batch, time, channels) to embeddings (batch, features), concatenated over modalities.

    Args:
        encoders: Encoders by modality.
        channels: The channels of each modality, as slices of a window's last dimension; they cover it in order.

    Attributes:
        features: Width of an embedding.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoders: Mapping[str, Encoder], channels: Mapping[str, slice]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders.values())  # a dictionary's keys would have to be attribute names
        self.channels = {name: channels[name] for name in encoders}
        self.features = sum(encoder.features for encoder in encoders.values())
        width = sum(part.stop - part.start for part in self.channels.values())
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def set_normalisation(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the statistics (channels,) by which windows are z-scored."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def normalise(self, windows: Tensor) -> Tensor:
        """Return z-scored ``windows`` (batch, time, channels)."""
        return (windows - self.mean) / self.deviation

    def calibrate(self, windows: Tensor) -> None:
        """Let each encoder measure raw, unlabelled ``windows`` (windows, time, channels)."""
        if not any(encoder.calibrates for _, encoder in self._named()):
            return  # a normalised copy of all windows is large
        normalised = self.normalise(windows)
        for name, encoder in self._named():
            encoder.calibrate(self._part(normalised, name))

    def forward(self, windows: Tensor) -> Tensor:
        """Embed raw ``windows`` (batch, time, channels) as (batch, features)."""
        return self.finish(self.begin(windows, "all"), "all")

    def begin(self, windows: Tensor, trained: TrainedStages) -> dict[str, Tensor]:
        """Run the stages that are not trained on raw ``windows`` (batch, time, channels).

        Returns:
            Activations by modality, the first dimension the batch: what :meth:`finish` takes.
        """
        normalised = self.normalise(windows)
        activations = {}
        for name, encoder in self._named():
            encoder.require_length(windows)
            entered = encoder.enter(self._part(normalised, name))
            activations[name] = encoder.run(entered, 0, self._frozen(encoder, trained))
        return activations

    def finish(self, activations: Mapping[str, Tensor], trained: TrainedStages) -> Tensor:
        """Run the trained stages; return embeddings (batch, features)."""
        embeddings = [
            encoder.run(activations[name], self._frozen(encoder, trained), encoder.depth)
            for name, encoder in self._named()
        ]
        return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings, dim=1)

    def trained(self, trained: TrainedStages) -> list[nn.Module]:
        """Return the modules of the stages that are trained."""
        return [stage for _, encoder in self._named() for stage in encoder.stages[self._frozen(encoder, trained) :]]

    def only(self, modalities: Iterable[str]) -> Backbone:
        """Return a backbone of some modalities that shares the encoders; its windows have the channels of these only.

        Raises:
            ValueError: if there is no such modality.
        """
        wanted = set(modalities)
        if not wanted or wanted - set(self.channels):
            raise ValueError(f"unknown modalities {sorted(wanted)}; known are {', '.join(self.channels)}")
        named = {name: encoder for name, encoder in self._named() if name in wanted}
        slices: dict[str, slice] = {}
        indices: list[int] = []
        for name in named:
            part = self.channels[name]
            slices[name] = slice(len(indices), len(indices) + part.stop - part.start)
            indices += range(part.start, part.stop)
        backbone = Backbone(named, slices).to(self.mean.device)
        backbone.set_normalisation(self.mean[indices], self.deviation[indices])
        return backbone.train(self.training)

    @property
    def by_modality(self) -> dict[str, Encoder]:
        """The encoders by modality."""
        return dict(self._named())

    def _named(self) -> Sequence[tuple[str, Encoder]]:
        return [(name, cast(Encoder, encoder)) for name, encoder in zip(self.channels, self.encoders, strict=True)]

    def _part(self, windows: Tensor, modality: str) -> Tensor:
        part = self.channels[modality]
        return windows if len(self.channels) == 1 else windows[..., part].contiguous()

    @staticmethod
    def _frozen(encoder: Encoder, trained: TrainedStages) -> int:
        return 0 if trained == "all" else max(0, encoder.depth - trained)
