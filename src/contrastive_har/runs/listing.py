"""The runs of a project, as their manifests describe them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from contrastive_har.files.tables import read_table
from contrastive_har.reports.answer import asked, ranked
from contrastive_har.reports.tables import describe_budget
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.parts import FAILED, working
from contrastive_har.runs.session import time_of

_REPORTING = "data/08_reporting"


@dataclass(frozen=True)
class Run:
    """A run and what it has stored.

    Attributes:
        manifest: Its manifest.
        project: Folder of the project.
    """

    manifest: Manifest
    project: Path

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.manifest.run_id

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return str(self.manifest.parameters["dataset"])

    @property
    def started(self) -> datetime:
        """When it was started."""
        return time_of(self.run_id)

    @property
    def status(self) -> str:
        """``finished``, ``running``, ``failed`` or ``killed``."""
        if working(self.manifest):
            return "running"
        if set(self.manifest.parts.values()) - {FAILED}:
            return "killed"
        return FAILED if self.manifest.parts else "finished"

    @property
    def reports(self) -> dict[str, Path]:
        """The reports that it has written, or taken over from a run that it has resumed, and that still exist."""
        names = (name.rpartition(".") for name in self.manifest.versions)
        paths = {protocol: self._stored(protocol, "report.html") for protocol, _, kind in names if kind == "report"}
        return {protocol: path for protocol, path in paths.items() if path.is_file()}

    @property
    def best(self) -> tuple[float, str] | None:
        """The mean macro-F1 that the first of its reports answers with, and the row that has it; None without a report.

        It is of unseen people and the fewest labels, chosen on validation windows, as far as there are such.
        """
        protocol = next(iter(self.reports), None)
        if protocol is None:
            return None
        summary = self.summary(protocol)
        split, budget = asked(summary, self.manifest.parameters[protocol]["splits"])
        row = ranked(summary, split, budget).iloc[0]
        return float(row["mean"]), f"{protocol}.{split}.{row['method']}, {row['evaluation']}, {describe_budget(budget)}"

    def summary(self, protocol: str) -> pd.DataFrame:
        """Return the summary of the scores of a protocol that it has reported."""
        return read_table(self._stored(protocol, "summary.parquet"), "summary")

    def scores(self, protocol: str) -> pd.DataFrame:
        """Return the long scores of a protocol that it has reported."""
        return read_table(self._stored(protocol, "scores.parquet"), "scores")

    def _stored(self, protocol: str, name: str) -> Path:
        """Return the path of the version of a file that belongs to the run."""
        kind = name.partition(".")[0]
        version = self.manifest.versions.get(f"{protocol}.{kind}", self.run_id)
        return self.project / _REPORTING / self.dataset / protocol / name / version / name


def runs_of(project: Path) -> Iterator[Run]:
    """Yield the runs of a project, the newest first.

    Raises:
        SchemaError: if a manifest is broken.
    """
    return (Run(manifest, project) for manifest in Manifests.of(project).newest_first())


def find_run(project: Path, name: str) -> Run:
    """Return the run whose id begins with a text.

    Raises:
        ValueError: if there is none, or more than one.
    """
    found = [run for run in runs_of(project) if run.run_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"{len(found)} runs begin with '{name}'; give the id of one, or as much of it as no other has: "
        "contrastive-har runs lists them."
    )


def age_in_words(age: timedelta) -> str:
    """Return an age in its largest unit, such as ``3 hours``."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (number := int(age.total_seconds() // length)) > 0:
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"
