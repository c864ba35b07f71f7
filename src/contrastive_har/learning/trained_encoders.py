"""Trained encoders and the file they live in: safetensors with a JSON header, loadable without running any code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Json, PositiveInt
from torch import Tensor

from contrastive_har.models.encoder import Encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.schema import read_tensors, refuse_broken, write_tensors
from contrastive_har.signals.seeds import seeded

KIND = "encoders"


@dataclass(frozen=True)
class TrainedEncoder:
    """One repeat's encoder: its weights and the normalisation its windows need."""

    weights: dict[str, Tensor]
    normalisation: Normalisation


@dataclass(frozen=True)
class EncoderSet:
    """The encoders of every repeat.

    Attributes:
        settings: Their common shape.
        shape: (time, channels) of a window.
        fingerprint: Hash of the data and parameters they were trained with.
        encoders: One a repeat.
    """

    settings: EncoderSettings
    shape: tuple[int, int]
    fingerprint: str
    encoders: tuple[TrainedEncoder, ...]

    def build(self, repeat: int) -> Encoder:
        """Return the encoder of a repeat, in evaluation mode."""
        with seeded(0):  # initial weights, about to be replaced
            encoder = build_encoder(self.settings, self.shape)
        encoder.load_state_dict(self.encoders[repeat].weights)
        return encoder.eval()


def build_encoder(settings: EncoderSettings, shape: tuple[int, int]) -> Encoder:
    """Return an untrained encoder of windows of ``shape`` (time, channels)."""
    length, channels = shape
    return settings.build(channels, length)


def embed(encoder: Encoder, signals: NDArray[np.float32], inference_batch: int) -> Tensor:
    """Return embeddings (windows, features) of normalised ``signals`` (windows, time, channels) without gradients."""
    with torch.no_grad():
        chunks = torch.from_numpy(signals).split(inference_batch)
        return torch.cat([encoder(chunk) for chunk in chunks]).float()


def write_encoders(encoders: EncoderSet, path: Path) -> None:
    """Write encoders into one safetensors file."""
    tensors: dict[str, Tensor] = {}
    for repeat, trained in enumerate(encoders.encoders):
        tensors |= {f"{repeat}.weights.{name}": value for name, value in trained.weights.items()}
        tensors[f"{repeat}.normalisation.mean"] = torch.from_numpy(trained.normalisation.mean)
        tensors[f"{repeat}.normalisation.deviation"] = torch.from_numpy(trained.normalisation.deviation)
    write_tensors(
        tensors,
        path,
        KIND,
        settings=encoders.settings.model_dump_json(),
        shape=json.dumps(encoders.shape),
        fingerprint=encoders.fingerprint,
        repeats=str(len(encoders.encoders)),
    )


def read_encoders(path: Path) -> EncoderSet:
    """Read encoders back.

    Raises:
        SchemaError: the file is broken, holds something else, another version of it, or weights of another encoder
            than its header names.
    """
    with refuse_broken(path, KIND):
        stamp, tensors = read_tensors(path, KIND)
        header = _Header.model_validate(stamp)
        _refuse_foreign(tensors, header)
        trained = []
        for repeat in range(header.repeats):
            mine = {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{repeat}.")}
            trained.append(
                TrainedEncoder(
                    weights={n.removeprefix("weights."): v for n, v in mine.items() if n.startswith("weights.")},
                    normalisation=Normalisation(
                        mine["normalisation.mean"].numpy(), mine["normalisation.deviation"].numpy()
                    ),
                )
            )
        return EncoderSet(header.settings, header.shape, header.fingerprint, tuple(trained))


class _Header(BaseModel):
    """What a file of encoders says of itself."""

    settings: Json[EncoderSettings]
    shape: Json[tuple[PositiveInt, PositiveInt]]
    fingerprint: str
    repeats: PositiveInt


def _refuse_foreign(tensors: Mapping[str, Tensor], header: _Header) -> None:
    """Check that the tensors are those of the encoders the header names, and numbers."""
    with torch.device("meta"):  # shapes without memory
        channels = torch.empty(header.shape[1])
        weights = build_encoder(header.settings, header.shape).state_dict()
    one = {"normalisation.mean": channels, "normalisation.deviation": channels}
    one |= {f"weights.{name}": value for name, value in weights.items()}
    if len(tensors) != header.repeats * len(one):
        raise ValueError(f"{len(tensors)} tensors; {header.repeats} encoders of these settings have {len(one)} each")
    for repeat, (name, like) in product(range(header.repeats), one.items()):
        value = tensors[f"{repeat}.{name}"]
        if (value.shape, value.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"tensor {repeat}.{name} is {value.dtype} {tuple(value.shape)}, the encoder of these settings needs "
                f"{like.dtype} {tuple(like.shape)}"
            )
        if not value.isfinite().all():
            raise ValueError(f"tensor {repeat}.{name} is not finite")
