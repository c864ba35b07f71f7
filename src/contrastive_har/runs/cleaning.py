"""Removes old runs: ``python -m contrastive_har.runs.cleaning --keep=5``, or ``make clean-runs KEEP=5``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kedro.framework.startup import bootstrap_project

from contrastive_har.runs.manifest import MANIFEST, Manifest, Manifests
from contrastive_har.runs.session import RUN_ID
from contrastive_har.runs.settings import load_configuration

UNFINISHED = "left by interrupted runs"


@dataclass(frozen=True)
class Plan:
    """Runs and files to remove.

    Attributes:
        runs: Manifests of the runs to remove, newest first.
        versions: Folders of versions that no kept run has read or written, by version; also checkpoints and
            incomplete files older than all kept runs.
    """

    runs: list[Manifest]
    versions: dict[str, list[Path]]

    @property
    def size(self) -> int:
        """Number of bytes that are freed."""
        listed = (path for of_version in self.versions.values() for path in of_version)
        files = {file for path in listed for file in (path, *path.rglob("*")) if file.is_file()}
        return sum(file.stat().st_size for file in files)


def plan(project: Path, keep: int) -> Plan:
    """Find all that the newest ``keep`` runs do not need.

    Versions of runs without a manifest are removed too, unless a kept run has read them.

    Raises:
        ValueError: if ``keep`` is less than one.
    """
    if keep < 1:
        raise ValueError(f"KEEP is {keep}; at least the newest run stays.")
    manifests = list(Manifests(project / f"data/08_reporting/{MANIFEST}.json").newest_first())
    kept, old = manifests[:keep], manifests[keep:]
    # Versions are kept as a whole: parts of the results of a run are of no use.
    needed = {version for manifest in kept for version in (manifest.run_id, *manifest.versions.values())}
    oldest_kept = min((manifest.run_id for manifest in kept), default="")
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted(project.glob("data/0*/**/*")):
        version = folder.name
        if folder.is_dir() and RUN_ID.fullmatch(version) and version < oldest_kept and version not in needed:
            found[version].append(folder)
    for path in sorted([*project.glob("data/06_models/**/checkpoints/*"), *project.glob("data/0*/**/.writing-*")]):
        if manifests and datetime.fromtimestamp(path.stat().st_mtime, UTC) < _time_of(oldest_kept):
            found[UNFINISHED].append(path)
    return Plan([manifest for manifest in old if manifest.run_id not in needed], dict(found))


def _time_of(run_id: str) -> datetime:
    return datetime.strptime(run_id, "%Y-%m-%dT%H.%M.%S.%fZ").replace(tzinfo=UTC)


def remove(project: Path, planned: Plan) -> None:
    """Delete versions, and the tracked runs with their children."""
    for folders in planned.versions.values():
        for folder in folders:
            # A path inside another folder of the list may have been removed with it.
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink(missing_ok=True)
    tracked = [manifest.tracked_run for manifest in planned.runs if manifest.tracked_run]
    if tracked:
        _delete_tracked(project, tracked)


def _delete_tracked(project: Path, runs: list[str]) -> None:
    import mlflow

    from contrastive_har.runs.hooks.tracking import TrackingSettings, absolute_uri

    tracking = TrackingSettings.model_validate(dict(load_configuration(project)["mlflow"]))
    mlflow.set_tracking_uri(absolute_uri(tracking.tracking_uri, project))
    client = mlflow.MlflowClient()
    for run in runs:
        children = mlflow.search_runs(
            experiment_names=[tracking.experiment],
            filter_string=f"tags.`mlflow.parentRunId` = '{run}'",
            output_format="list",
        )
        for run_id in (run, *(child.info.run_id for child in children)):
            client.delete_run(run_id)


def main() -> None:
    """List what is to be removed, then remove it."""
    parser = argparse.ArgumentParser(prog="make clean-runs", description=__doc__)
    parser.add_argument("--keep", type=int, required=True, help="number of newest runs to keep")
    parser.add_argument("--dry-run", action="store_true", help="only list")
    arguments = parser.parse_args()
    project = Path.cwd()
    bootstrap_project(project)
    try:
        planned = plan(project, arguments.keep)
    except ValueError as error:
        sys.exit(str(error))
    for version, folders in sorted(planned.versions.items()):
        sys.stdout.write(f"{version}: {len(folders)} folders\n")
    count = sum(len(folders) for folders in planned.versions.values())
    sys.stdout.write(
        f"{count} versions, {planned.size / 2**20:.1f} MiB; {len(planned.runs)} tracked runs"
        f"{' would be' if arguments.dry_run else ' are'} removed. All that a kept run has read or written is kept.\n"
    )
    if not arguments.dry_run:
        remove(project, planned)


if __name__ == "__main__":
    main()
