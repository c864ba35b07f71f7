"""Shows the newest run of the main job if nothing has changed since: ``make run`` asks it before it runs the job."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from contrastive_har.files.fingerprints import code_version
from contrastive_har.runs.lineage import Origins
from contrastive_har.runs.listing import Run, age_in_words, runs_of
from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.places import open_here, run_command
from contrastive_har.runs.session import MAIN
from contrastive_har.runs.settings import OF_SESSIONS, differences, load_configuration
from contrastive_har.sources import raw_folder

NOTHING = 3
"""Exit status that says that there is no such run."""


def up_to_date(project: Path) -> Run | None:
    """Return the newest finished run of the main job with this code, these parameters and files; None if there is none.

    A run whose report has been deleted does not count.
    """
    configured = load_configuration(project)["parameters"]
    parameters = {name: value for name, value in configured.items() if name not in OF_SESSIONS}
    origins = Origins(Manifests.of(project))
    files = origins.of_folder(project / "data/01_raw" / raw_folder(str(parameters["dataset"])))
    for run in runs_of(project):
        if run.status == "finished" and MAIN in run.reports and run.manifest.code == code_version():
            same = not list(differences(run.manifest.parameters, parameters))
            if same and origins.files_of(run.manifest) == files:
                return run
    return None


def describe(run: Run) -> str:
    """Return which run it is, its result table, and where its report is."""
    from contrastive_har.reports.tables import console_table

    age = age_in_words(datetime.now(UTC) - run.started)
    return (
        f"{console_table(run.summary(MAIN))}\n\n"
        f"Report:  {run.reports[MAIN]}\n"
        f"Run:     {run.run_id}, {MAIN} on {run.dataset}, started {age} ago\n"
        f"Code, settings and files have not changed since that run; '{run_command()}' computes it again.\n"
    )


def main() -> int:
    """Show the run, or return ``NOTHING``."""
    project = open_here()
    run = up_to_date(project)
    if run is None:
        return NOTHING
    sys.stdout.write(describe(run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
