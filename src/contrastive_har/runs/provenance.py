"""Checks that all that is read and computed together comes from the same data and the same settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kedro.io import DataCatalog

from contrastive_har.files.fingerprints import TEXTS
from contrastive_har.protocols import PLANS, ProtocolError, plans_of
from contrastive_har.refining import plain
from contrastive_har.runs.commands import resuming
from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.settings import differences
from contrastive_har.scores.cells import Cell

_COMBINED = "scores"  # of a protocol: the table with the scores of all its cells


class ProvenanceError(ValueError):
    """Data sets that do not belong together; the message names them and the cure."""


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Attributes:
        fingerprint: Fingerprint of all that its content depends on.
        ancestors: Fingerprints of the stored data sets, of the folders of raw files and of the plans that it comes
            from, by name.
        run: The run that stored it; None if the run that reads it computes it.
        checksum: Checksum of what that run stored; empty if it is not known.
    """

    fingerprint: str
    ancestors: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    checksum: str = ""


class Provenance:
    """All that one run reads and computes: every name must stand for one data set, and every plan be the same.

    Args:
        plans: Fingerprints of the plans by which the run computes, by name.
        cells: Cells of which it reads something.
        catalog: Catalog with these plans.
        manifests: Manifests of all runs.
    """

    def __init__(
        self, plans: Mapping[str, str], cells: Iterable[Cell], catalog: DataCatalog, manifests: Manifests
    ) -> None:
        self._cells = sorted(cells)
        self._catalog = catalog
        self._manifests = manifests
        self._known: dict[str, tuple[str, str, str | None]] = {name: (own, "", None) for name, own in plans.items()}

    def add(self, name: str, origin: Origin) -> None:
        """Add a data set that the run reads or computes.

        Raises:
            ProvenanceError: if it does not belong to what has been added before.
        """
        for ancestor, own in (*origin.ancestors.items(), (name, origin.fingerprint)):
            known, other, run = self._known.setdefault(ancestor, (own, name, origin.run))
            if known == own:
                continue
            if not other:
                raise ProvenanceError(self._other_settings(name, origin, ancestor))
            raise ProvenanceError(
                f"{_named(other, run)} and {_named(name, origin.run)} do not belong together: they come from different "
                f"versions of {ancestor}. Compute what does not fit again with '{resuming(name)}'."
            )

        protocol, _, kind = name.rpartition(".")
        for cell in self._cells if kind == _COMBINED and origin.run else ():
            if cell.protocol == protocol and cell.artifact(kind) not in origin.ancestors:
                raise ProvenanceError(
                    f"{_named(name, origin.run)} lacks {cell.namespace}. Compute it again with '{resuming(name)}'."
                )

    def _other_settings(self, name: str, origin: Origin, plan: str) -> str:
        """Return a message that names the settings of a plan that differ from those by which a data set was made."""
        plan_name = plan.removeprefix(f"params:{PLANS}.")
        manifest = self._manifests.find(str(origin.run))
        try:
            before = plans_of(manifest.parameters if manifest else {}).get(plan_name)
        except (ProtocolError, KeyError):  # of an older release
            before = None
        changed = differences(plain(before), plain(self._catalog.load(plan))) if before else []
        paths = sorted(path for path in changed if path.rpartition(".")[2] not in TEXTS)
        return (
            f"{name} of run {origin.run} was made with other settings: {', '.join(paths) or plan_name}. Give the --env "
            f"and --params of that run, or compute what does not fit again with '{resuming(name)}'."
        )


def _named(name: str, run: str | None) -> str:
    return f"{name} of run {run}" if run else f"{name}, which this run computes,"
