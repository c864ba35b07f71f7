"""Recognisers and their file: safetensors with a JSON header, which is read without running any code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor

from contrastive_har.files.stamps import refuse_broken
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.strict import StrictModel
from contrastive_har.use.calibration import Calibration
from contrastive_har.use.familiarity import Reference
from contrastive_har.use.recognisers import Architecture, Origin, TrainedRecogniser

KIND = "recogniser"
_ALTERNATIVE = "alternative"  # prefix of the tensors of alternatives, followed by their index
_REFERENCE = "reference"  # prefix of the arrays of references


class _Facts(StrictModel):
    """All of a recogniser but its weights."""

    architecture: Architecture
    origin: Origin
    calibration: Calibration = Calibration()


_ALL_FACTS: TypeAdapter[list[_Facts]] = TypeAdapter(list[_Facts])


def write_recogniser(recogniser: TrainedRecogniser, path: Path, **entries: str) -> None:
    """Write a recogniser into one safetensors file, with further header ``entries`` if there are any."""
    tensors = _tensors_of(recogniser)
    for index, one in enumerate(recogniser.alternatives):
        tensors |= {f"{_ALTERNATIVE}.{index}.{name}": value for name, value in _tensors_of(one).items()}
    facts = [
        _Facts(architecture=one.architecture, origin=one.origin, calibration=one.calibration)
        for one in recogniser.alternatives
    ]
    write_tensors(
        tensors,
        path,
        KIND,
        architecture=recogniser.architecture.model_dump_json(),
        origin=recogniser.origin.model_dump_json(),
        calibration=recogniser.calibration.model_dump_json(),
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
        # Files that were written before there were alternatives and calibrations have neither.
        facts = _Facts(
            architecture=TypeAdapter(Architecture).validate_json(header["architecture"]),
            origin=Origin.model_validate_json(header["origin"]),
            calibration=Calibration.model_validate_json(header.get("calibration", "{}")),
        )
        facts_of_others = _ALL_FACTS.validate_json(header.get("alternatives", "[]"))
        own, others = _divide(tensors, len(facts_of_others))
        alternatives = tuple(map(_recogniser_of, facts_of_others, others))
        read = replace(_recogniser_of(facts, own), alternatives=alternatives)
        for one in (read, *alternatives):
            one.build()  # refuses weights of another architecture
        return read, header


def _tensors_of(recogniser: TrainedRecogniser) -> dict[str, Tensor]:
    """Return the weights and the reference of a recogniser without its alternatives."""
    tensors = dict(recogniser.weights)
    if recogniser.reference is not None:
        tensors |= {
            f"{_REFERENCE}.{name}": torch.from_numpy(array) for name, array in vars(recogniser.reference).items()
        }
    return tensors


def _recogniser_of(facts: _Facts, tensors: dict[str, Tensor]) -> TrainedRecogniser:
    """Return a recogniser without alternatives."""
    arrays = {
        name.removeprefix(f"{_REFERENCE}."): value.numpy()
        for name, value in tensors.items()
        if name.startswith(f"{_REFERENCE}.")
    }
    weights = {name: value for name, value in tensors.items() if not name.startswith(f"{_REFERENCE}.")}
    reference = Reference(**arrays) if arrays else None
    channels = len(facts.architecture.description.channels)
    if reference is not None and len(reference.scale) != 2 * channels:
        raise ValueError(f"a reference of {len(reference.scale)} statistics for {channels} channels")
    return TrainedRecogniser(
        facts.architecture, weights, facts.origin, calibration=facts.calibration, reference=reference
    )


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
