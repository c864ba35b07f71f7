"""Data files inside installed Python packages, found without importing the package."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path


class PackagedFileError(RuntimeError):
    """The package of a data file is missing or does not contain it; the message names the cure."""


def locate(package: str, suffix: str) -> Path:
    """Return the path of an installed package's data file.

    Raises:
        PackagedFileError: if the package or the file is missing.
    """
    cure = f"Install it with 'pip install {package}'."
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise PackagedFileError(f"The data package '{package}' is not installed. {cure}") from error
    for file in files:
        if str(file).endswith(suffix):
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise PackagedFileError(f"The data package '{package}' holds no '{suffix}'. {cure}")
