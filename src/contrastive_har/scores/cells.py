"""Cells: one method on one split of a protocol, and the names of its artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from contrastive_har.signals.sensors import AND

Artifact = TypeVar("Artifact")

_OF = "/"  # between the name of an evaluation and its modalities


@dataclass(frozen=True, order=True)
class Cell:
    """One method on one split of a protocol.

    Attributes:
        protocol: Name of the protocol.
        split: Name of the split.
        method: Name of the method.
    """

    protocol: str
    split: str
    method: str

    @property
    def namespace(self) -> str:
        """The namespace of its nodes and artifacts: ``protocol.split.method``."""
        return f"{self.protocol}.{self.split}.{self.method}"

    def artifact(self, name: str) -> str:
        """Return the catalog name of one of its artifacts."""
        return f"{self.namespace}.{name}"

    @classmethod
    def parse(cls, namespace: str | None) -> Cell | None:
        """Return the cell of a namespace; None if it is not the namespace of a single cell."""
        parts = (namespace or "").split(".")
        return cls(*parts) if len(parts) == 3 else None


def by_cell(artifacts: Mapping[str, Artifact], name: str) -> dict[Cell, Artifact]:
    """Return one artifact of each cell, of ``artifacts`` by catalog name."""
    found = {}
    for full_name, artifact in artifacts.items():
        namespace, _, last = full_name.rpartition(".")
        if last == name and (cell := Cell.parse(namespace)):
            found[cell] = artifact
    return found


def by_split(artifacts: Mapping[str, Artifact], name: str) -> dict[str, Artifact]:
    """Return one artifact of each split, of ``artifacts`` by catalog name: ``protocol.split.name``."""
    parts = {tuple(full_name.split(".")): artifact for full_name, artifact in artifacts.items()}
    return {part[1]: artifact for part, artifact in parts.items() if len(part) == 3 and part[2] == name}


def name_evaluation(evaluation: str, modalities: Iterable[str]) -> str:
    """Return the name of an evaluation of some of the modalities, such as ``linear/inertial-and-skeleton``."""
    return f"{evaluation}{_OF}{AND.join(modalities)}"


def parse_evaluation(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the evaluation of a name and its modalities; none, if it uses all."""
    evaluation, _, modalities = name.partition(_OF)
    return evaluation, tuple(modalities.split(AND)) if modalities else ()


def title_evaluations(titles: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return titles of evaluations by name, with the modalities of those that use some.

    Args:
        titles: Titles of the evaluations as configured.
        names: Names in a table of results.
    """
    named = {str(name): parse_evaluation(str(name)) for name in names}
    parted = {evaluation for evaluation, modalities in named.values() if modalities}
    titled = {}
    for name, (evaluation, modalities) in named.items():
        everything = ("all modalities",) if evaluation in parted else ()
        titled[name] = ", ".join([titles[evaluation], *([" + ".join(modalities)] if modalities else everything)])
    return titled
