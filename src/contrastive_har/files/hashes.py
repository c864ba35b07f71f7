"""Hashes of the content of files, which are remembered for as long as the files do not change."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from contrastive_har.files.atomic import write_atomically

State = tuple[int, int, int, int]

_SETTLED = 2_000_000_000  # nanoseconds after which a further change is sure to have another time


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_of(path: Path) -> State:
    """Return size, times and inode of a file: a change of its content changes one of them.

    A copy that keeps size and modification time has another inode or change time.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


class FileHashes:
    """Hashes of files, remembered in a JSON file. Without it, or if it is broken, all are computed again.

    Args:
        memory: The JSON file. Several processes may use it: each replaces it as a whole.
        compute: Returns the hash of a file.
    """

    def __init__(self, memory: Path, compute: Callable[[Path], str] = sha256_of) -> None:
        self._memory = memory
        self._compute = compute
        self._known = self._read()
        self._new: dict[str, list[object]] = {}

    def of(self, path: Path) -> str:
        """Return the hash of a file."""
        state = state_of(path)
        match self._known.get(str(path)):
            case [*known, str(digest)] if tuple(known) == state:
                return digest
        digest = self._compute(path)
        if time.time_ns() - state[2] > _SETTLED:
            self._new[str(path)] = [*state, digest]
        return digest

    def remember(self) -> None:
        """Write down what has been computed, for the next process."""
        if self._new and not self._memory.is_dir():
            there = {path: known for path, known in self._read().items() if Path(path).exists()}
            self._memory.parent.mkdir(exist_ok=True)
            with write_atomically(self._memory) as staged:
                staged.write_text(json.dumps({**there, **self._new}), encoding="utf-8")

    def _read(self) -> dict[str, list[object]]:
        if not self._memory.is_file():  # reading a pipe would wait for ever
            return {}
        try:
            known = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
