"""The backbone: one encoder per modality, each with the normalisation of its channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from contrastive_har.models.encoders.base import Encoder
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.skeletons import centred

TrainedStages = int | Literal["all"]
"""Number of last stages of each encoder that are trained."""


class Backbone(nn.Module):
    """Raw windows (batch, time, channels) to embeddings (batch, features), concatenated over modalities.

    Args:
        encoders: An encoder for each modality of the layout.
        layout: Layout of a window.

    Attributes:
        features: Width of an embedding.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoders: Mapping[str, Encoder], layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.channels = layout.modalities
        self.joints = {name: layout.only([name]).joints(name) for name in layout.skeletons}
        # A dictionary's keys would have to be attribute names.
        self.encoders = nn.ModuleList(encoders[name] for name in self.channels)
        self.features = sum(encoder.features for encoder in encoders.values())
        self.register_buffer("mean", torch.zeros(layout.width))
        self.register_buffer("deviation", torch.ones(layout.width))

    @property
    def widths(self) -> list[int]:
        """Width of the embeddings of each modality."""
        return [encoder.features for _, encoder in self._named()]

    def set_normalisation(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the statistics (channels,) by which windows are normalised."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def normalise(self, windows: Tensor) -> Tensor:
        """Return ``windows`` (batch, time, channels) less the mean, over the deviation; skeletons are centred."""
        normalised = (windows - self.mean) / self.deviation
        if not self.layout.skeletons:
            return normalised
        parts = []
        for modality, channels in self.channels.items():
            part = normalised[..., channels]
            if modality in self.layout.skeletons:
                part = centred(part, self.layout.skeletons[modality], self.joints[modality])
            parts.append(part)
        return torch.cat(parts, dim=2)

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

    def auxiliary_loss(self, activations: Mapping[str, Tensor], trained: TrainedStages) -> Tensor | None:
        """Return the sum of the losses that encoders add when all their stages are trained; None if there are none.

        Args:
            activations: What :meth:`begin` returned.
            trained: Number of stages that are trained.
        """
        losses = [
            encoder.auxiliary_loss(activations[name])
            for name, encoder in self._named()
            if self._frozen(encoder, trained) == 0
        ]
        own = [loss for loss in losses if loss is not None]
        return torch.stack(own).sum() if own else None

    def trained(self, trained: TrainedStages) -> list[nn.Module]:
        """Return the modules of the stages that are trained."""
        return [stage for _, encoder in self._named() for stage in encoder.stages[self._frozen(encoder, trained) :]]

    def only(self, modalities: Iterable[str]) -> Backbone:
        """Return a backbone of some modalities that shares the encoders; its windows have the channels of these only.

        Raises:
            ValueError: if there is no such modality.
        """
        layout = self.layout.only(modalities)
        named = {name: encoder for name, encoder in self._named() if name in layout.modalities}
        indices = [index for name in named for index in range(self.channels[name].start, self.channels[name].stop)]
        backbone = Backbone(named, layout).to(self.mean.device)
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
