"""What the console shows of a run; its log has everything."""

from __future__ import annotations

import logging
import os

from rich.logging import RichHandler

VERBOSE = "CONTRASTIVE_HAR_VERBOSE"
"""Environment variable that, if it is set, shows every line of Kedro's log on the console too."""


class Quiet(logging.Filter):
    """Passes warnings, errors, and the messages of this project, but not Kedro's about single nodes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is shown."""
        return record.name.partition(".")[0] != "kedro" or record.levelno >= logging.WARNING


def quieten() -> None:
    """Keep Kedro's messages about single nodes off the console, unless ``VERBOSE`` is set.

    Kedro allows no filters of a project in its logging configuration.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RichHandler):
            for quiet in [one for one in handler.filters if isinstance(one, Quiet)]:
                handler.removeFilter(quiet)
            if not os.environ.get(VERBOSE):
                handler.addFilter(Quiet())
