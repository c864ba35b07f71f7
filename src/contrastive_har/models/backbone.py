"""The backbone: one encoder per modality, features beside it, and the normalisation of the channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import torch
from torch import Tensor, nn

from contrastive_har.models.encoders.base import Encoder
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.skeletons import centred

TrainedStages = int | Literal["all"]
"""Number of last stages of each encoder that are trained."""


@dataclass(frozen=True)
class _Part:
    """An encoder of a modality; activations have its name."""

    name: str
    modality: str
    encoder: Encoder


class Backbone(nn.Module):
    """Raw windows (batch, time, channels) to embeddings (batch, features), concatenated over modalities.

    The embedding of a modality is that of its encoder, followed by the features of the encoders beside it.

    Args:
        encoders: An encoder for each modality of the layout, which objectives train.
        layout: Layout of a window.
        beside: Encoders that learn nothing, by modality.

    Attributes:
        features: Width of an embedding.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        layout: Layout,
        beside: Mapping[str, Sequence[Encoder]] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.layout = layout
        self.channels = layout.modalities
        self.joints = {name: layout.only([name]).joints(name) for name in layout.skeletons}
        # A dictionary's keys would have to be attribute names.
        self.encoders = nn.ModuleList(encoders[name] for name in self.channels)
        self.beside = nn.ModuleList(nn.ModuleList(beside.get(name, ())) for name in self.channels)
        self.features = sum(part.encoder.features for part in self._parts())
        self.register_buffer("mean", torch.zeros(layout.width))
        self.register_buffer("deviation", torch.ones(layout.width))

    @property
    def widths(self) -> list[int]:
        """Width of the embeddings of each modality."""
        return [sum(part.encoder.features for part in self._parts() if part.modality == name) for name in self.channels]

    @property
    def parts(self) -> dict[str, str]:
        """The modality of every encoder by the name that its activations have."""
        return {part.name: part.modality for part in self._parts()}

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
        if not any(part.encoder.calibrates for part in self._parts()):
            return  # a normalised copy of all windows is large
        normalised = self.normalise(windows)
        for part in self._parts():
            part.encoder.calibrate(self._input(part, windows, normalised))

    def forward(self, windows: Tensor) -> Tensor:
        """Embed raw ``windows`` (batch, time, channels) as (batch, features)."""
        return self.finish(self.begin(windows, "all"), "all")

    def begin(self, windows: Tensor, trained: TrainedStages) -> dict[str, Tensor]:
        """Run the stages that are not trained on raw ``windows`` (batch, time, channels).

        Returns:
            Activations by the names of :attr:`parts`, the first dimension the batch: what :meth:`finish` takes.
        """
        return self._begin(windows, self.normalise(windows), trained)

    def begin_normalised(self, windows: Tensor, trained: TrainedStages) -> dict[str, Tensor]:
        """Do the same with windows that are normalised already, such as views."""
        return self._begin(windows * self.deviation + self.mean, windows, trained)

    def _begin(self, windows: Tensor, normalised: Tensor, trained: TrainedStages) -> dict[str, Tensor]:
        activations = {}
        for part in self._parts():
            part.encoder.require_length(windows)
            entered = part.encoder.enter(self._input(part, windows, normalised))
            activations[part.name] = part.encoder.run(entered, 0, self._frozen(part.encoder, trained))
        return activations

    def finish(self, activations: Mapping[str, Tensor], trained: TrainedStages) -> Tensor:
        """Run the trained stages; return embeddings (batch, features)."""
        embeddings = [
            part.encoder.run(activations[part.name], self._frozen(part.encoder, trained), part.encoder.depth)
            for part in self._parts()
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
        beside = {name: [part.encoder for part in self._beside(name)] for name in named}
        indices = [index for name in named for index in range(self.channels[name].start, self.channels[name].stop)]
        backbone = Backbone(named, layout, beside).to(self.mean.device)
        backbone.set_normalisation(self.mean[indices], self.deviation[indices])
        return backbone.train(self.training)

    @property
    def by_modality(self) -> dict[str, Encoder]:
        """The encoders that objectives train, by modality."""
        return dict(self._named())

    def _named(self) -> Sequence[tuple[str, Encoder]]:
        return [(name, cast(Encoder, encoder)) for name, encoder in zip(self.channels, self.encoders, strict=True)]

    def _parts(self) -> list[_Part]:
        """Return all encoders, those of a modality one after the other."""
        return [part for name, encoder in self._named() for part in (_Part(name, name, encoder), *self._beside(name))]

    def _beside(self, modality: str) -> list[_Part]:
        encoders = cast(nn.ModuleList, self.beside[list(self.channels).index(modality)])
        return [
            _Part(f"{modality} beside {number}", modality, cast(Encoder, encoder))
            for number, encoder in enumerate(encoders)
        ]

    def _input(self, part: _Part, windows: Tensor, normalised: Tensor) -> Tensor:
        """Return the windows (batch, time, channels) of an encoder's modality, as it takes them."""
        raw = part.encoder.raw and part.modality not in self.layout.skeletons  # those are always centred
        chosen = windows if raw else normalised
        return chosen if len(self.channels) == 1 else chosen[..., self.channels[part.modality]].contiguous()

    @staticmethod
    def _frozen(encoder: Encoder, trained: TrainedStages) -> int:
        return 0 if trained == "all" else max(0, encoder.depth - trained)
