"""Runs as they are compared, from their manifests and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from contrastive_har.reports.run_comparison import ComparedRun
from contrastive_har.runs.lineage import Origins
from contrastive_har.runs.listing import Run, find_run
from contrastive_har.runs.manifest import Manifests


def read_runs(project: Path, names: Sequence[str]) -> list[ComparedRun]:
    """Return the runs whose ids begin with the names.

    Raises:
        ValueError: if a name is that of no run, or of several, or if a run has reported no scores.
    """
    origins = Origins(Manifests.of(project))
    return [_read(find_run(project, name), origins) for name in names if name]


def _read(run: Run, origins: Origins) -> ComparedRun:
    tables = [run.scores(protocol) for protocol in run.reports]
    if not tables:
        raise ValueError(f"Run {run.run_id} has no report, and so no scores to compare.")
    manifest = run.manifest
    return ComparedRun(
        run_id=run.run_id,
        dataset=run.dataset,
        recordings=manifest.versions.get("recordings", "–"),
        files=origins.files_of(manifest),
        code=manifest.code,
        packages=manifest.packages,
        parameters=manifest.parameters,
        scores=pd.concat(tables, ignore_index=True),
    )
