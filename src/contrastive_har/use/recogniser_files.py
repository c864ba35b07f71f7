"""Recognisers and their file: safetensors with a JSON header, which is read without running any code."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.use.recognisers import Architecture, Origin, TrainedRecogniser

KIND = "recogniser"
_ALTERNATIVE = "alternative"  # prefix of the weights of alternatives, followed by their index


class _Facts(BaseModel):
    """All of a recogniser but its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    origin: Origin


_ALL_FACTS: TypeAdapter[list[_Facts]] = TypeAdapter(list[_Facts])


def write_recogniser(recogniser: TrainedRecogniser, path: Path, **entries: str) -> None:
    """Write a recogniser into one safetensors file, with further header ``entries`` if there are any."""
    tensors = dict(recogniser.weights)
    for index, one in enumerate(recogniser.alternatives):
        tensors |= {f"{_ALTERNATIVE}.{index}.{name}": value for name, value in one.weights.items()}
    facts = [_Facts(architecture=one.architecture, origin=one.origin) for one in recogniser.alternatives]
    write_tensors(
        tensors,
        path,
        KIND,
        architecture=recogniser.architecture.model_dump_json(),
        origin=recogniser.origin.model_dump_json(),
        alternatives=_ALL_FACTS.dump_json(facts).decode(),
        **entries,
    )


def read_recogniser(path: Path) -> TrainedRecogniser:
    """Read a recogniser back; nothing in the file is executed.

    Raises:
        SchemaError: if the file is broken, or of another kind, schema version or architecture.
    """
    return read_recogniser_and_header(path)[0]


def read_recogniser_and_header(path: Path) -> tuple[TrainedRecogniser, dict[str, str]]:
    """Read a recogniser back, and all entries of the file's header.

    Raises:
        SchemaError: if the file is broken, or of another kind, schema version or architecture.
    """
    with refuse_broken(path, KIND):
        header, tensors = read_tensors(path, KIND)
        facts = _ALL_FACTS.validate_json(header.get("alternatives", "[]"))
        own, others = _divide(tensors, len(facts))
        alternatives = tuple(
            TrainedRecogniser(one.architecture, weights, one.origin) for one, weights in zip(facts, others, strict=True)
        )
        read = TrainedRecogniser(
            architecture=TypeAdapter(Architecture).validate_json(header["architecture"]),
            weights=own,
            origin=Origin.model_validate_json(header["origin"]),
            alternatives=alternatives,
        )
        for one in (read, *alternatives):
            one.build()  # refuses weights of another architecture
        return read, header


def _divide(tensors: dict[str, Tensor], alternatives: int) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Divide weights into those of a recogniser and those of each alternative."""
    own: dict[str, Tensor] = {}
    others: list[dict[str, Tensor]] = [{} for _ in range(alternatives)]
    for name, value in tensors.items():
        prefix, _, rest = name.partition(".")
        if prefix != _ALTERNATIVE:
            own[name] = value
            continue
        index, _, inner = rest.partition(".")
        if not index.isdigit() or int(index) >= alternatives:
            raise ValueError(f"weights of an unknown alternative: {name}")
        others[int(index)][inner] = value
    return own, others
