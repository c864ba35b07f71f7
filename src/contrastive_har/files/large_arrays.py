"""Arrays that may be larger than the memory, and arrays among the arguments of other processes: mapped files."""

from __future__ import annotations

import io
import logging
import mmap
import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from contrastive_har.files.memory import free_memory

_LARGE = 2**20  # bytes: smaller arrays are copied
_SHARE = 4  # one array may take a quarter of the free memory


def fits_in_memory(size: int) -> bool:
    """Return whether an array of some bytes may be held in memory, beside all else."""
    return size <= free_memory() // _SHARE


def allocate(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a float32 array without values: in memory if it fits, or else in a temporary file.

    The system reads the pages of the file that are used and gives them back when memory is short. The file has no name
    and ends with this process, or with the array.
    """
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    if fits_in_memory(size):
        return np.empty(shape, np.float32)
    folder = tempfile.gettempdir()
    logging.getLogger(__name__).info(
        "%.1f GB are kept in a temporary file in %s: they do not fit into memory.", size / 1e9, folder
    )
    if shutil.disk_usage(folder).free < size:
        raise OSError(
            f"windows of {size / 1e9:.1f} GB fit neither into memory nor onto the disk of {folder}; set TMPDIR to a "
            "folder with more space, or use fewer windows."
        )
    file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the array
    file.truncate(size)
    array = np.memmap(file, np.float32, "r+", shape=shape)
    address = array.ctypes.data
    _files[address] = _MappedFile(file, size)
    weakref.finalize(array, _files.pop, address)
    return array


@dataclass(frozen=True)
class _MappedFile:
    file: Any
    size: int

    @property
    def path(self) -> Path:
        """A name under which other processes can open the file, on Linux."""
        return Path(f"/proc/{os.getpid()}/fd/{self.file.fileno()}")


_files: dict[int, _MappedFile] = {}  # by the address of the first byte


@dataclass(frozen=True)
class _Part:
    """A part of a file that is an array."""

    path: Path
    offset: int
    size: int


class MappedArrays:
    """A folder for the large arrays of calls, each written once; a context that deletes it in the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="contrastive_har_"))
        self._parts: dict[tuple[int, int], _Part] = {}  # by address and size
        self._arrays: list[pickle.PickleBuffer] = []  # which live at least as long as this

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

    def pickle(self, value: Any) -> tuple[bytes, list[_Part]]:
        """Return a value pickled without its large arrays, and where these are."""
        parts: list[_Part] = []

        def stays(buffer: pickle.PickleBuffer) -> bool:
            content = np.frombuffer(buffer.raw(), np.uint8)
            if content.nbytes < _LARGE:
                return True
            self._arrays.append(buffer)
            parts.append(self._part_of(content))
            return False

        return _dumps(value, stays), parts

    def _part_of(self, content: NDArray[np.uint8]) -> _Part:
        begin, size = content.ctypes.data, content.nbytes
        if (begin, size) not in self._parts:
            mapped = _mapped_part(begin, size)
            if mapped is None:
                mapped = _Part(self.folder / str(len(self._parts)), 0, size)
                content.tofile(mapped.path)
            self._parts[begin, size] = mapped
        return self._parts[begin, size]


def unpickle(pickled: bytes, parts: Sequence[Any]) -> Any:
    """Return a value of this project's own processes; changes of its arrays stay in this process."""
    return pickle.loads(pickled, buffers=[_map(part) for part in parts])


def _map(part: _Part) -> memoryview:
    before = part.offset % mmap.ALLOCATIONGRANULARITY
    with part.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), before + part.size, access=mmap.ACCESS_COPY, offset=part.offset - before)
    return memoryview(mapped)[before:]


def _mapped_part(begin: int, size: int) -> _Part | None:
    """Return the part of a mapped file that has some bytes of this process's memory; None if none has."""
    for first, mapped in _files.items():
        if first <= begin and begin + size <= first + mapped.size and mapped.path.exists():
            return _Part(mapped.path, begin - first, size)
    return None


def _dumps(value: Any, stays: Any) -> bytes:
    """Pickle a value by protocol 5; tensors as arrays, whose buffers may stay outside."""
    import cloudpickle  # takes long to import
    import torch

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            is_plain = type(value) is torch.Tensor and value.layout == torch.strided and not value.requires_grad
            if is_plain and value.device.type == "cpu" and value.dtype != torch.bfloat16:  # which NumPy does not have
                return torch.from_numpy, (value.numpy(),)
            return super().reducer_override(value)

    written = io.BytesIO()
    Pickler(written, protocol=5, buffer_callback=stays).dump(value)
    return written.getvalue()
