"""Compare runs."""

from __future__ import annotations

import click

from contrastive_har.commands._kedro import run_pipeline


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
def command(runs: tuple[str, ...]) -> None:
    """Compare runs with the first one: scores side by side with paired tests, and what differs.

    RUN is the id of a run, or its beginning: 'contrastive-har runs' lists them. Writes a page and a table.
    """
    run_pipeline("compare", {"runs": "+".join(runs)})
