"""Trained heads and their file: the weights that an evaluation added to a backbone or changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.models.heads import HeadSettings
from contrastive_har.strict import StrictModel

KIND = "heads"


class HeadFacts(StrictModel):
    """Facts about a trained head.

    Attributes:
        repeat: Repeat of its backbone.
        evaluation: Evaluation by which it was trained.
        label_budget: Name of the label budget.
        validation_macro_f1: Macro-F1 on the validation windows after the last epoch; None without such windows.
        head: Settings of the head.
        modalities: Modalities it uses; None for all.
    """

    repeat: int
    evaluation: str
    label_budget: str
    validation_macro_f1: float | None
    head: HeadSettings
    modalities: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TrainedHead:
    """One head on one repeat's backbone.

    Attributes:
        facts: Facts about it.
        weights: State of the head, as ``head.<name>``, and the state of the backbone that training has changed, as
            ``backbone.<name>``.
    """

    facts: HeadFacts
    weights: dict[str, Tensor]


_ALL_FACTS: TypeAdapter[list[HeadFacts]] = TypeAdapter(list[HeadFacts])


def write_heads(heads: Sequence[TrainedHead], path: Path) -> None:
    """Write heads into one safetensors file."""
    tensors = {f"{index}.{name}": value for index, head in enumerate(heads) for name, value in head.weights.items()}
    facts = _ALL_FACTS.dump_json([head.facts for head in heads]).decode()
    write_tensors(tensors, path, KIND, heads=facts)


def read_heads(path: Path) -> list[TrainedHead]:
    """Read heads back.

    Raises:
        SchemaError: the file is broken, holds something else, or another version of it.
    """
    with refuse_broken(path, KIND):
        header, tensors = read_tensors(path, KIND)
        weights: dict[int, dict[str, Any]] = {}
        for name, value in tensors.items():
            index, _, rest = name.partition(".")
            weights.setdefault(int(index), {})[rest] = value
        facts_of_all = _ALL_FACTS.validate_json(header["heads"])
        if set(weights) != set(range(len(facts_of_all))):
            raise ValueError(f"weights of {len(weights)} heads, facts about {len(facts_of_all)}")
        return [TrainedHead(facts, weights[index]) for index, facts in enumerate(facts_of_all)]
