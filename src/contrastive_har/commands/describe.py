"""Look at a folder of recordings."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Look at a FOLDER of recordings, and write a dataset.yml for you to correct.

    Nothing in the folder is changed but the file that is written.
    """
    from contrastive_har.signals.recordings import BadRecordingError
    from contrastive_har.sources.own.describing import propose, write_proposal

    try:
        text = propose(folder)
    except BadRecordingError as error:
        raise SystemExit(f"Error: {error}") from error
    click.echo(write_proposal(folder, text), nl=False)
