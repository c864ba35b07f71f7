"""Corrects the tracking database of a project that was moved: ``python -m contrastive_har.runs.moving``.

MLflow stores absolute paths of artifacts and registered models. Nothing else in a project has absolute paths.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.parts import working
from contrastive_har.runs.places import open_here
from contrastive_har.runs.settings import load_configuration
from contrastive_har.runs.tracking_server import SQLITE, TrackingSettings

_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def correct(project: Path) -> tuple[str, str, int]:
    """Make the stored paths of the project's experiment those of the configured folder.

    Returns:
        The old folder, the new one, and the number of paths that were changed.

    Raises:
        ValueError: if the project is tracked on a server, has no such experiment, or a run of it is going on.
    """
    tracking = TrackingSettings.of(load_configuration(project), project)
    database, new = Path(tracking.tracking_uri.removeprefix(SQLITE)), tracking.artifact_location
    if not tracking.tracking_uri.startswith(SQLITE) or new is None or not database.is_file():
        raise ValueError(f"Runs are tracked at {tracking.tracking_uri}: no file of this project has their paths.")
    for manifest in Manifests.of(project).newest_first():
        if working(manifest):
            raise ValueError(f"Run {manifest.run_id} is going on. Wait for its end.")
    with closing(sqlite3.connect(database)) as connection, connection:
        found = connection.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (tracking.experiment,)
        ).fetchone()
        if found is None:
            raise ValueError(f"{database} has no experiment '{tracking.experiment}'.")
        (old,) = found
        changed = sum(
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names from the list above
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ? || '/'",
                (new, len(old) + 1, old, len(old) + 1, old),
            ).rowcount
            for table, column in _LOCATIONS
            if old != new
        )
    return old, new, changed


def main() -> None:
    """Correct the database of the project in the working directory."""
    project = open_here()
    try:
        old, new, changed = correct(project)
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{changed} paths changed from {old} to {new}.\n")


if __name__ == "__main__":
    main()
