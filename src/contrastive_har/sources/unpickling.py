"""Pickled data files, read without running anything in them."""

from __future__ import annotations

import _codecs
import gzip
import pickle
from typing import IO, Any

import numpy as np

try:  # the function that numpy's pickles call is private in every version
    from numpy._core.multiarray import _reconstruct
except ImportError:  # numpy < 2
    from numpy.core.multiarray import _reconstruct  # type: ignore[no-redef]


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
