"""List the runs of the project."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from contrastive_har.commands._kedro import project_folder


@click.command()
@click.option("--newest", type=int, default=20, show_default=True, help="How many.")
def command(newest: int) -> None:
    """List the runs: data set, what was run, status, age, best score, report; the newest first."""
    from itertools import islice

    from contrastive_har.reports.tables import in_percent
    from contrastive_har.runs.listing import age_in_words, runs_of

    project = project_folder()
    found = list(islice(runs_of(project), newest))
    if not found:
        click.echo("Nothing has run here. Begin with: contrastive-har run")
    for run in found:
        best = run.best
        age = age_in_words(datetime.now(UTC) - run.started)
        click.echo(f"{run.run_id}  {run.status:8}  {run.dataset}  {', '.join(run.manifest.pipelines)}  {age} ago")
        if best:
            click.echo(f"    best     macro-F1 {in_percent(best[0])} %, {best[1]}")
        for path in run.reports.values():
            click.echo(f"    report   {path.relative_to(project)}")
