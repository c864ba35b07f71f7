"""The commands of ``contrastive-har``: a module each. Those that compute call the same pipelines as ``kedro run``.

A module of this package that defines ``command`` is a command, under its own name.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import click


class Commands(click.Group):
    """The commands; their modules are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def commands() -> None:
    """Recognise human activities from wearable sensors with few labels.

    \b
    First steps:
      contrastive-har run                    the main job on UCI-HAR: 10 to 19 minutes on two cores
      contrastive-har runs                   what has run, with scores and reports
      contrastive-har describe FOLDER        look at recordings of your own, and propose how to read them
      contrastive-har run --dataset my_data  learn from them
      contrastive-har label FOLDER           label the windows that teach most, in a page
      contrastive-har predict day.csv        recognise activities in new recordings

    Without a command, or with options first, everything is passed on to 'kedro run':
    contrastive-har --pipeline=multimodal.

    Completion of a shell, here bash: eval "$(_CONTRASTIVE_HAR_COMPLETE=bash_source contrastive-har)".
    """  # noqa: D301 - click keeps the lines of a paragraph as they are after this character
