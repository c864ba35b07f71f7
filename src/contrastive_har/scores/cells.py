"""Cells: one method on one split of a protocol, and the names of its artifacts."""

from __future__ import annotations

from dataclasses import dataclass


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
