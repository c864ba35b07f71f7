"""Which file has raised an error, also if that was in another process."""

from __future__ import annotations

import traceback
from pathlib import Path

_FILE = "raised_in"


def note_file(error: BaseException) -> None:
    """Note in an error which file has raised it, before it goes to another process without its traceback."""
    if (path := raised_in(error)) is not None:
        setattr(error, _FILE, str(path))


def raised_in(error: BaseException) -> Path | None:
    """Return the file that has raised an error; None if it was not raised."""
    frames = traceback.extract_tb(error.__traceback__)
    name = getattr(error, _FILE, frames[-1].filename if frames else None)
    return None if name is None else Path(name)
