"""Recognise activities in new recordings."""

from __future__ import annotations

from pathlib import Path

import click

from contrastive_har.commands._kedro import run_pipeline


@click.command()
@click.argument("recordings", type=click.Path(exists=True, path_type=Path))
@click.option("--dataset", metavar="NAME", help="Data set whose model is used; by default the configured one.")
@click.option("--protocol", metavar="NAME", help="Protocol whose model is used; by default semi_supervised.")
def command(recordings: Path, dataset: str | None, protocol: str | None) -> None:
    """Recognise the activities in a file or folder of recordings with the newest model.

    Writes a table of activities over time and a picture of it, and prints where they are.
    """
    run_pipeline("inference", {"recordings": recordings, "dataset": dataset, "protocol": protocol})
