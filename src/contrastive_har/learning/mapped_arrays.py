"""Large arrays of calls to other processes: written to files, which all processes map into their memory."""

from __future__ import annotations

import mmap
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

_LARGE = 2**20  # bytes


class MappedArrays:
    """A folder for the large arrays of calls, each written once; a context that deletes it in the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="contrastive_har_"))
        self._files: dict[tuple[int, int], str] = {}  # by address and size; the arrays live at least as long as this
        self._arrays: list[pickle.PickleBuffer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.delete()

    def delete(self) -> None:
        """Delete the files; processes keep what they have mapped."""
        self._arrays.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pickle(self, value: Any) -> tuple[bytes, list[str]]:
        """Return a value pickled without its large arrays, and the names of their files."""
        import cloudpickle  # takes long to import

        names: list[str] = []

        def stays(array: pickle.PickleBuffer) -> bool:
            content = np.frombuffer(array.raw(), np.uint8)
            if content.nbytes < _LARGE:
                return True
            key = (content.ctypes.data, content.nbytes)
            if key not in self._files:
                self._files[key] = str(len(self._files))
                self._arrays.append(array)
                content.tofile(self.folder / self._files[key])
            names.append(self._files[key])
            return False

        return cloudpickle.dumps(value, protocol=5, buffer_callback=stays), names


def unpickle(pickled: bytes, folder: Path, names: Sequence[str]) -> Any:
    """Return a value of this project's own processes; changes of its arrays stay in this process."""
    arrays = []
    for name in names:
        with (folder / name).open("rb") as file:
            arrays.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return pickle.loads(pickled, buffers=arrays)
