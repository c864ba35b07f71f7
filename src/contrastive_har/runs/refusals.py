"""Errors by which something is refused end a command with their message; others with a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import kedro
from click import ClickException
from kedro.framework.cli.utils import KedroCliError
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from contrastive_har.files.errors import raised_in
from contrastive_har.files.texts import shorten

_PACKAGE = Path(__file__).parents[1]
_MEANT = (ValueError, RuntimeError, OSError, ClickException)
"""Types that the project raises on purpose; others, such as ``KeyError``, are faults of the program."""
_KEDRO = Path(kedro.__file__).parent
_OF_ARGUMENTS = ("framework/session/", "pipeline/pipeline.py", "config/", "validation/", "io/data_catalog.py")
"""Where Kedro refuses arguments and configuration; elsewhere it reports faults of nodes."""
_NOISE = re.compile(
    r" \[type=\w+, input_value=.*?, input_type=\w+\]|\n *For further information visit https://errors\.pydantic\.dev/\S*",
    re.DOTALL,
)
"""What Pydantic adds to what is wrong."""


def show_refusals() -> None:
    """Print the message of a refusal instead of its traceback, which the log of the run has."""
    others = sys.excepthook
    if getattr(others, "__module__", None) == __name__:
        return

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        refusal = find_refusal(error)
        if refusal is None:
            others(kind, error, trace)
        else:
            sys.stderr.write(f"Error: {refusal}\n")

    sys.excepthook = show
    # Kedro's own prints the traceback that is being handled, of which there is none when click shows an error.
    KedroCliError.show = ClickException.show  # type: ignore[method-assign]


def find_refusal(error: BaseException) -> str | None:
    """Return the message of the error by which the project refused something; None if a fault ended the program.

    Errors that others raise from it, such as Kedro's when an artifact cannot be stored, are looked through.
    """
    for is_meant in (_is_own, _is_of_kedro):  # Kedro repeats errors of the project under its own names
        for cause in _causes(error):
            if isinstance(cause, ValidationError):
                from contrastive_har.files.stamps import (
                    explain,  # imports torch, which a listing of pipelines does not need
                )

                return f"{cause.title}: {explain(cause)}"
            if is_meant(cause):
                return shorten(_NOISE.sub("", str(cause)).strip())
    return None


def _is_own(error: BaseException) -> bool:
    """Return whether the project refuses something by an error."""
    return _PACKAGE in (raised_in(error) or Path()).parents and isinstance(error, _MEANT)


def _is_of_kedro(error: BaseException) -> bool:
    """Return whether Kedro refuses arguments or configuration by an error."""
    where = raised_in(error) or Path()
    if isinstance(error, (OmegaConfBaseException, YAMLError)):  # of a configuration that cannot be read
        return True
    if where == _KEDRO / "utils.py" and isinstance(error, AttributeError):  # there is no runner of that name
        return True
    of_arguments = _KEDRO in where.parents and where.relative_to(_KEDRO).as_posix().startswith(_OF_ARGUMENTS)
    return of_arguments and (isinstance(error, ValueError) or type(error).__module__.startswith("kedro."))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__
