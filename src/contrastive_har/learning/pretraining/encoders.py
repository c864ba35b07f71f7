"""Trained encoders and their file: safetensors with a JSON header, which is read without running any code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Json, PositiveInt
from torch import Tensor

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tensors import read_tensors, require_like, write_tensors
from contrastive_har.learning.compute import Compute
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.sensors import Layout

KIND = "encoders"


@dataclass(frozen=True)
class EncoderSet:
    """The backbones of all repeats: encoders and the normalisation of their windows.

    Attributes:
        settings: The encoder of each modality.
        layout: Layout of a window.
        fingerprint: Hash of the data and settings they were trained with.
        weights: One state of a :class:`Backbone` per repeat.
    """

    settings: BackboneSettings
    layout: Layout
    fingerprint: str
    weights: tuple[dict[str, Tensor], ...]

    @property
    def repeats(self) -> int:
        """Number of repeats."""
        return len(self.weights)

    def build(self, repeat: int) -> Backbone:
        """Return the backbone of a repeat, in evaluation mode."""
        with seeded(0):  # initial weights, about to be replaced
            backbone = self.settings.build(self.layout)
        backbone.load_state_dict(self.weights[repeat])
        return backbone.eval()


def embed(backbone: Backbone, signals: NDArray[np.float32], compute: Compute) -> Tensor:
    """Return embeddings (windows, features) of raw ``signals`` (windows, time, channels), without gradients."""
    backbone = backbone.to(compute.device)
    with torch.no_grad():
        chunks = torch.from_numpy(signals).split(compute.inference_batch)
        return torch.cat([backbone(chunk.to(compute.device)) for chunk in chunks]).float().cpu()


def write_encoders(encoders: EncoderSet, path: Path) -> None:
    """Write encoders into one safetensors file."""
    tensors = {
        f"{repeat}.{name}": value for repeat, weights in enumerate(encoders.weights) for name, value in weights.items()
    }
    write_tensors(
        tensors,
        path,
        KIND,
        settings=encoders.settings.model_dump_json(),
        layout=encoders.layout.model_dump_json(),
        fingerprint=encoders.fingerprint,
        repeats=str(encoders.repeats),
    )


def read_encoders(path: Path) -> EncoderSet:
    """Read encoders back.

    Raises:
        SchemaError: if the file is broken, is of another kind or schema version, or has weights of another encoder than
            its header says.
    """
    with refuse_broken(path, KIND):
        stamp, tensors = read_tensors(path, KIND)
        header = _Header.model_validate(stamp)
        _refuse_foreign(tensors, header)
        weights: list[dict[str, Tensor]] = [{} for _ in range(header.repeats)]
        for name, value in tensors.items():
            repeat, _, rest = name.partition(".")
            weights[int(repeat)][rest] = value
        return EncoderSet(header.settings, header.layout, header.fingerprint, tuple(weights))


class _Header(BaseModel):
    """The header of a file of encoders."""

    settings: Json[BackboneSettings]
    layout: Json[Layout]
    fingerprint: str
    repeats: PositiveInt


def _refuse_foreign(tensors: Mapping[str, Tensor], header: _Header) -> None:
    """Check that the tensors are those of the encoders in the header, and finite."""
    with torch.device("meta"):  # shapes without memory
        expected = header.settings.build(header.layout).state_dict()
    if len(tensors) != header.repeats * len(expected):
        raise ValueError(
            f"{len(tensors)} tensors; {header.repeats} repeats of these encoders have {len(expected)} each"
        )
    for repeat, (name, like) in product(range(header.repeats), expected.items()):
        full_name = f"{repeat}.{name}"
        require_like(full_name, tensors[full_name], like)
