"""Removes old runs: ``python -m contrastive_har.runs.cleaning --keep=5``, or ``make clean-runs KEEP=5``."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, product
from pathlib import Path

from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.parts import working
from contrastive_har.runs.places import open_here
from contrastive_har.runs.session import RUN_ID, time_of
from contrastive_har.runs.settings import load_configuration
from contrastive_har.runs.tracking_server import SQLITE, TrackingSettings, connect, delete_tracked, find_tracked, usable

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

    def describe(self) -> str:
        """Return the versions with their sizes."""
        listed = [path for of_version in self.versions.values() for path in of_version]
        files = {file for path in listed for file in (path, *path.rglob("*")) if file.is_file()}
        size = sum(file.stat().st_size for file in files) / 2**20
        lines = [f"{version}: {len(folders)} folders" for version, folders in sorted(self.versions.items())]
        return "\n".join([*lines, f"{len(listed)} versions, {size:.1f} MiB; {len(self.runs)} runs"])


def plan(project: Path, keep: int) -> Plan:
    """Find all that the newest ``keep`` runs, and runs that are going on, do not need.

    Versions of runs without a manifest are removed too, unless a kept run has read them.

    Raises:
        ValueError: if ``keep`` is less than one.
    """
    if keep < 1:
        raise ValueError(f"KEEP is {keep}; at least the newest run stays.")
    manifests = list(Manifests.of(project).newest_first())
    running = [manifest for manifest in manifests if working(manifest)]
    kept, old = manifests[:keep], [manifest for manifest in manifests[keep:] if manifest not in running]
    # Versions are kept as a whole: parts of the results of a run are of no use.
    needed = {version for manifest in (*kept, *running) for version in (manifest.run_id, *manifest.versions.values())}
    oldest_kept = min((manifest.run_id for manifest in kept), default="")
    stored: dict[Path, list[Path]] = defaultdict(list)
    for folder in sorted(project.glob("data/0*/**/*")):
        if folder.is_dir() and RUN_ID.fullmatch(folder.name):
            stored[folder.parent].append(folder)
    for manifest, versions in product(running, stored.values()):
        # One that has just begun has not noted yet what it reads: the newest versions before it, unless it chooses.
        needed |= set(sorted(folder.name for folder in versions if folder.name <= manifest.run_id)[-1:])
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in chain.from_iterable(stored.values()):
        if folder.name < oldest_kept and folder.name not in needed:
            found[folder.name].append(folder)
    leftovers = sorted(
        [
            *project.glob("data/06_models/**/checkpoints/*"),
            *project.glob("data/0*/**/.writing-*"),
            *project.glob("data/.writing-*"),
        ]
    )
    for path in leftovers if manifests and not running else ():  # a run may be using the checkpoints of another one
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < time_of(oldest_kept):
            found[UNFINISHED].append(path)
    return Plan([manifest for manifest in old if manifest.run_id not in needed], dict(found))


def clean(project: Path, keep: int) -> Plan:
    """Delete all that :func:`plan` finds, and the tracked runs with their models; return the plan.

    Raises:
        ValueError: if ``keep`` is less than one.
        RuntimeError: if MLflow cannot be used; no file is deleted then.
    """
    with Manifests.of(project).locked():  # no run begins meanwhile
        planned = plan(project, keep)
        tracked = [manifest.tracked_run for manifest in planned.runs if manifest.tracked_run]
        settings = TrackingSettings.of(load_configuration(project), project)
        if tracked:  # only manifests know them: they go first
            with usable(settings):
                connect(settings)
                _delete_tracked(settings, tracked)
        sys.stdout.write(f"{planned.describe()} are removed.\n")
        for folder in chain.from_iterable(planned.versions.values()):
            # A path inside another folder of the list may have been removed with it.
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink(missing_ok=True)
    return planned


def _delete_tracked(settings: TrackingSettings, tracked: list[str]) -> None:
    found = [run for run in tracked if find_tracked(run)]
    kept = [run for run in found if not delete_tracked(run, settings.experiment)]
    if missing := sorted({*tracked} - {*found}):
        sys.stdout.write(
            f"{len(missing)} tracked runs are not in {settings.tracking_uri}, or deleted there; another database that "
            f"has them keeps them: {', '.join(missing)}.\n"
        )
    if kept:
        sys.stdout.write(f"{len(kept)} tracked runs are kept: their model is the newest, or has an alias.\n")
    if len(found) == len(kept):
        return
    uri = shlex.quote(settings.tracking_uri)
    command = f"MLFLOW_TRACKING_URI={uri} mlflow gc --backend-store-uri {uri}"
    sys.stdout.write(
        f"The database still has the names and scores of {len(found) - len(kept)} tracked runs, which "
        f"{command if settings.tracking_uri.startswith(SQLITE) else 'mlflow gc on the server'} removes.\n"
    )


def main() -> None:
    """List what is to be removed, then remove it."""
    parser = argparse.ArgumentParser(prog="make clean-runs", description=__doc__)
    parser.add_argument("--keep", type=int, required=True, help="number of newest runs to keep")
    parser.add_argument("--dry-run", action="store_true", help="only list")
    arguments = parser.parse_args()
    project = open_here()
    try:
        if arguments.dry_run:
            sys.stdout.write(f"{plan(project, arguments.keep).describe()} would be removed.\n")
        else:
            clean(project, arguments.keep)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
