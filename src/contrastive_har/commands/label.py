"""Choose windows of recordings to label, and label them in a page on this machine."""

from __future__ import annotations

import click


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Label the windows of recordings that teach a classifier most, in a page on this machine."""
    from contrastive_har.labelling.command import main

    raise SystemExit(main(arguments))
