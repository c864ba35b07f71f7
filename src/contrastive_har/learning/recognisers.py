"""The model for use: the encoder and classifier that did best on validation people, ready to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor

from contrastive_har.learning.classifiers import TrainedClassifier
from contrastive_har.learning.trained_encoders import EncoderSet, TrainedEncoder, build_encoder
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.reports.scores import EVERYTHING
from contrastive_har.signals.recordings import DatasetDescription
from contrastive_har.signals.schema import read_tensors, refuse_broken, write_tensors
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.windows import Windows

KIND = "recogniser"
_CELL = ["split", "method", "evaluation", "label_fraction"]


class Origin(BaseModel):
    """Where a recogniser comes from, and how good it is.

    Attributes:
        protocol: Under which it was trained.
        split: Which windows it learned from.
        method: How its encoder was pre-trained.
        evaluation: How its classifier was trained.
        label_fraction: On how many labels.
        repeat: Which of the repeats it is.
        validation_macro_f1: Its own, on its validation people.
        mean_validation_macro_f1: Of all repeats; what it was chosen by.
        mean_test_macro_f1: Of all repeats; what to expect of it on people nobody has seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    split: str
    method: str
    evaluation: str
    label_fraction: float
    repeat: int
    validation_macro_f1: float
    mean_validation_macro_f1: float
    mean_test_macro_f1: float


@dataclass(frozen=True)
class TrainedRecogniser:
    """Everything needed to recognise activities in raw windows.

    Attributes:
        description: Channels with their units, in order, Hz, and activities of the data it learned from.
        length: Samples in a window.
        stride: Samples from one window to the next.
        encoder: Its encoder's shape.
        weights: Of the :class:`Recogniser`, normalisation included.
        origin: Where it comes from.
    """

    description: DatasetDescription
    length: int
    stride: int
    encoder: EncoderSettings
    weights: dict[str, Tensor]
    origin: Origin

    def build(self) -> Recogniser:
        """Return the network, in evaluation mode.

        Raises:
            ValueError: if the weights are not those of such an encoder.
        """
        shape = (self.length, len(self.description.channels))
        return build_recogniser(self.encoder, shape, len(self.description.recognised), self.weights)


def build_recogniser(
    encoder: EncoderSettings, shape: tuple[int, int], classes: int, weights: Mapping[str, Tensor]
) -> Recogniser:
    """Return the network for windows of ``shape`` (time, channels), in evaluation mode.

    Raises:
        ValueError: if the weights are not those of such an encoder.
    """
    with seeded(0):  # initial weights, about to be replaced
        network = Recogniser(build_encoder(encoder, shape), shape[1], classes)
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit encoder '{encoder.name}' ({error})") from error
    return network.eval()


def combine_weights(encoder: TrainedEncoder, classifier: TrainedClassifier) -> dict[str, Tensor]:
    """Return the weights of the :class:`Recogniser` that an encoder and a classifier trained on it make."""
    return {
        **{f"encoder.{name}": value for name, value in encoder.weights.items()},
        **classifier.weights,
        "mean": torch.from_numpy(encoder.normalisation.mean),
        "deviation": torch.from_numpy(encoder.normalisation.deviation),
    }


def recognise(network: Recogniser, windows: NDArray[np.float32], batch: int = 1024) -> NDArray[np.float32]:
    """Return probabilities (windows, classes) of raw ``windows`` (windows, time, channels).

    Raises:
        ValueError: if there are none: of samples that are not finite, or too large to calculate with.
    """
    with torch.inference_mode():
        parts = [network(part) for part in torch.from_numpy(np.ascontiguousarray(windows)).split(batch)]
        together: NDArray[np.float32] = torch.cat(parts).numpy()
    unknown = ~np.isfinite(together).all(axis=1)
    if unknown.any():
        raise ValueError(
            f"Samples up to {np.abs(windows[unknown]).max():.3g} give no probabilities. Check the units, and cut out "
            "what was not measured."
        )
    return together


def describe_recogniser(recogniser: TrainedRecogniser) -> dict[str, Any]:
    """Return what somebody needs to know who has only windows and this recogniser, as plain values."""
    description = recogniser.description
    return {
        "dataset": description.name,
        "sampling_rate_hz": description.sampling_rate_hz,
        "window_samples": recogniser.length,
        "channels": [channel.model_dump() for channel in description.channels],
        "activities": description.class_names,
        "normalisation": "inside: windows are passed as measured",
        "encoder": recogniser.encoder.name,
        **recogniser.origin.model_dump(),
    }


def choose_recogniser(
    windows: Windows,
    protocol: str,
    encoders: Mapping[tuple[str, str], EncoderSet],
    classifiers: Mapping[tuple[str, str], list[TrainedClassifier]],
    scores: pd.DataFrame,
) -> TrainedRecogniser:
    """Choose by macro-F1 on validation people: first what did best on average, then its best repeat.

    Args:
        windows: What they learned from.
        protocol: Under which.
        encoders: By split and method.
        classifiers: By split and method.
        scores: Of the whole protocol; they tell what to expect and choose nothing.

    Raises:
        ValueError: if nobody validated.
    """
    tried = pd.DataFrame(
        [
            (split, method, one.evaluation, one.label_fraction, one.repeat, one.validation_macro_f1, place)
            for (split, method), of_cell in classifiers.items()
            for place, one in enumerate(of_cell)
            if one.validation_macro_f1 is not None
        ],
        columns=[*_CELL, "repeat", "value", "place"],
    )
    if tried.empty:
        raise ValueError(f"Protocol '{protocol}' has no validation windows to choose a model by.")
    means = tried.groupby(_CELL, sort=False)["value"].mean()
    split, method, evaluation, share = cell = means.idxmax()
    repeats = tried[(tried[_CELL] == list(cell)).all(axis=1)]
    best = repeats.loc[repeats["value"].idxmax()]
    classifier = classifiers[split, method][best["place"]]
    encoder = encoders[split, method]
    tested = scores[(scores[_CELL] == list(cell)).all(axis=1) & (scores["metric"] == "macro_f1")]
    return TrainedRecogniser(
        description=windows.description,
        length=windows.length,
        stride=windows.stride,
        encoder=encoder.settings,
        weights=combine_weights(encoder.encoders[classifier.repeat], classifier),
        origin=Origin(
            protocol=protocol,
            split=split,
            method=method,
            evaluation=evaluation,
            label_fraction=share,
            repeat=classifier.repeat,
            validation_macro_f1=best["value"],
            mean_validation_macro_f1=means[cell],
            mean_test_macro_f1=tested.loc[tested["group"] == EVERYTHING, "value"].mean(),
        ),
    )


def write_recogniser(recogniser: TrainedRecogniser, path: Path) -> None:
    """Write a recogniser into one safetensors file."""
    write_tensors(
        recogniser.weights,
        path,
        KIND,
        description=recogniser.description.model_dump_json(),
        window=json.dumps({"length": recogniser.length, "stride": recogniser.stride}),
        encoder=recogniser.encoder.model_dump_json(),
        origin=recogniser.origin.model_dump_json(),
    )


def read_recogniser(path: Path) -> TrainedRecogniser:
    """Read a recogniser back; nothing in the file is executed.

    Raises:
        SchemaError: the file is broken, holds something else, or another version or architecture of it.
    """
    with refuse_broken(path, KIND):
        header, tensors = read_tensors(path, KIND)
        read = TrainedRecogniser(
            description=DatasetDescription.model_validate_json(header["description"]),
            **json.loads(header["window"]),
            encoder=TypeAdapter(EncoderSettings).validate_json(header["encoder"]),
            weights=tensors,
            origin=Origin.model_validate_json(header["origin"]),
        )
        read.build()  # refuses weights of another architecture
        return read
