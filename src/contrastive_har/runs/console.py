"""What the console shows of a run; its log has everything."""

from __future__ import annotations

import io
import logging
import os
import sys

from rich.logging import RichHandler

VERBOSE = "CONTRASTIVE_HAR_VERBOSE"
"""Environment variable that, if it is set, shows every line of Kedro's log on the console too."""

_WIDTH = 120  # of lines that no terminal shows, such as those of a scheduler's log

_LEAST = {"kedro": logging.WARNING, "kedro_viz": logging.ERROR}
"""Least levels shown: no messages about single nodes, and none about runs whose states Kedro-Viz does not keep."""

_EXPECTED = (
    "One or more dataset names contain '.'",
    "Option '--pipeline' is deprecated",
    "Add type hints to the `predict` method",
)
"""Warnings of Kedro and MLflow about what this project does on purpose: names in namespaces, a documented option, and a
signature that is not derived from annotations."""


class Quiet(logging.Filter):
    """Passes warnings, errors, and the messages of this project."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is shown."""
        return record.levelno >= _LEAST.get(record.name.partition(".")[0], logging.NOTSET)


def write_all_characters() -> None:
    """Write characters that the console's encoding lacks as their codes, which would otherwise end a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def ignore_expected_warnings() -> None:
    """Ignore warnings about what this project does on purpose.

    Kedro makes warnings messages of a log. They are ignored there, since MLflow sets filters of warnings of its own.
    """
    logging.getLogger("py.warnings").addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return not any(message in said for message in _EXPECTED)


def set_up() -> None:
    """Keep Kedro's messages about single nodes off the console, unless ``VERBOSE`` is set, and lines in files whole.

    Kedro allows no filters of a project in its logging configuration.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RichHandler):
            if not handler.console.is_terminal and "COLUMNS" not in os.environ:
                handler.console.width = _WIDTH
            for quiet in [one for one in handler.filters if isinstance(one, Quiet)]:
                handler.removeFilter(quiet)
            if not os.environ.get(VERBOSE):
                handler.addFilter(Quiet())
