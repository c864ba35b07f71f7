"""Data files inside installed Python packages, found without importing the package."""

from __future__ import annotations

import hashlib
import importlib.metadata
from base64 import urlsafe_b64encode
from pathlib import Path


class PackagedFileError(RuntimeError):
    """The package of a data file is missing or does not contain it; the message names the cure."""


def locate(package: str, suffix: str) -> Path:
    """Return the path of an installed package's data file.

    Raises:
        PackagedFileError: if the package or the file is missing, or the file is not as it was installed.
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
                _require_as_installed(path, file.hash, package)
                return path
    raise PackagedFileError(f"The data package '{package}' holds no '{suffix}'. {cure}")


def _require_as_installed(path: Path, noted: importlib.metadata.FileHash | None, package: str) -> None:
    """Compare a file with its checksum in the package's list of files, if that has one."""
    if noted is None or noted.mode != "sha256":
        return
    with path.open("rb") as file:
        found = urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest()).decode().rstrip("=")
    if found != noted.value:
        cure = f"Install it again with 'pip install --force-reinstall --no-deps {package}'."
        raise PackagedFileError(f"{path}: damaged or changed since '{package}' was installed. {cure}")
