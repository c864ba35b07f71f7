"""Trained classifiers and the file they live in: what an evaluation added to, or changed in, an encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from contrastive_har.signals.schema import read_tensors, refuse_broken, write_tensors

KIND = "classifiers"


@dataclass(frozen=True)
class TrainedClassifier:
    """One classifier on one repeat's encoder.

    Attributes:
        repeat: Whose encoder.
        evaluation: How it was trained.
        label_fraction: On how many labels.
        validation_macro_f1: On the validation windows after the last epoch; none where nobody validates.
        weights: ``classifier.weight`` (classes, features), ``classifier.bias`` (classes,), and the weights of the
            encoder that training has changed, as ``encoder.<name>``.
    """

    repeat: int
    evaluation: str
    label_fraction: float
    validation_macro_f1: float | None
    weights: dict[str, Tensor]


_FACTS = ("repeat", "evaluation", "label_fraction", "validation_macro_f1")


def write_classifiers(classifiers: Sequence[TrainedClassifier], path: Path) -> None:
    """Write classifiers into one safetensors file."""
    tensors = {f"{place}.{name}": value for place, one in enumerate(classifiers) for name, value in one.weights.items()}
    facts = [{name: getattr(one, name) for name in _FACTS} for one in classifiers]
    write_tensors(tensors, path, KIND, classifiers=json.dumps(facts))


def read_classifiers(path: Path) -> list[TrainedClassifier]:
    """Read classifiers back.

    Raises:
        SchemaError: the file is broken, holds something else, or another version of it.
    """
    with refuse_broken(path, KIND):
        header, tensors = read_tensors(path, KIND)
        weights: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            place, _, own = name.partition(".")
            weights.setdefault(int(place), {})[own] = value
        return [
            TrainedClassifier(**facts, weights=weights[place])
            for place, facts in enumerate(json.loads(header["classifiers"]))
        ]
