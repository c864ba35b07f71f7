"""Worker processes: independent parts of a computation side by side on the cores of one machine."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from logging import LogRecord
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from threadpoolctl import threadpool_limits

from contrastive_har.files.errors import note_file
from contrastive_har.files.large_arrays import MappedArrays, unpickle

Result = TypeVar("Result")

# Without them, glibc returns the buffers of each step to the system: a tenth of the time of a step.
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
_SECONDS = 1.0  # between two looks at whether the parent process is still there


@dataclass(frozen=True)
class Pending(Generic[Result]):
    """A call that a worker makes.

    Attributes:
        future: Its result, and what was logged.
        mapped: Arrays among its arguments.
    """

    future: Future[tuple[Result, list[LogRecord]]]
    mapped: MappedArrays

    def result(self) -> Result:
        """Wait for the result and return it; log here what was logged there.

        Raises:
            Exception: what the call raises.
        """
        with self.mapped:
            return _received(self.future)


@dataclass(frozen=True)
class Workers:
    """Worker processes, each with some threads. They are kept for the next time.

    Attributes:
        count: Number of processes.
        threads: Threads of each.
    """

    count: int
    threads: int

    def submit(self, call: Callable[[], Result], quiet: bool = False) -> Pending[Result]:
        """Make a call in a worker.

        Args:
            call: Module-level function with all its arguments, of which large arrays are mapped and not copied.
            quiet: Whether it shows no progress.
        """
        mapped = MappedArrays()
        return Pending(self._submit(call, quiet, mapped), mapped)

    def map(self, calls: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Make calls side by side and yield their results in order; the first shows its progress.

        Raises:
            Exception: what a call raises.
        """
        with MappedArrays() as mapped:
            try:
                futures = [self._submit(call, call is not calls[0], mapped) for call in calls]
                yield from map(_received, futures)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End the processes, whatever they do."""
        self._executor().shutdown(kill_workers=True)

    def _submit(self, call: Callable[[], Result], quiet: bool, mapped: MappedArrays) -> Future[Any]:
        task = _Task(*mapped.pickle(call), mapped.folder, self.threads, quiet, os.getpid())
        future: Future[Any] = self._executor().submit(_work, task)
        return future

    def _executor(self) -> Any:
        from joblib.externals.loky import get_reusable_executor  # takes long to import

        for name, value in _KEEP_FREED_MEMORY.items():
            os.environ.setdefault(name, value)
        return get_reusable_executor(self.count)


def _received(future: Future[tuple[Result, list[LogRecord]]]) -> Result:
    result, records = future.result()
    for record in records:
        logging.getLogger(record.name).handle(record)
    return result


@dataclass(frozen=True)
class _Task:
    """A call for a worker.

    Attributes:
        call: The pickled call.
        arrays: Where its large arrays are.
        folder: The folder of those that were written for it.
        threads: Threads of the worker.
        quiet: Whether it shows no progress.
        parent: The process that waits for it.
    """

    call: bytes
    arrays: list[Any]
    folder: Path
    threads: int
    quiet: bool
    parent: int


@dataclass
class _Process:
    """What is known of this process.

    Attributes:
        is_worker: Whether it is a worker of another.
        is_quiet: Whether it shows no progress, as another does.
        threads: Its threads, while it computes with fewer; None while it does not.
    """

    is_worker: bool = False
    is_quiet: bool = False
    threads: int | None = None


_this = _Process()


def is_worker() -> bool:
    """Return whether this process is a worker of another."""
    return _this.is_worker


def shows_progress() -> bool:
    """Return whether this process may show its progress."""
    return not _this.is_quiet


def available_threads() -> int:
    """Return the number of threads that this process and its workers may use together."""
    return _this.threads or torch.get_num_threads()


@contextmanager
def limited_to(threads: int) -> Iterator[None]:
    """Compute with some threads, as a worker does: the number of threads decides how sums are rounded."""
    _this.threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(_this.threads)
        _this.threads = None


def _work(task: _Task) -> tuple[Any, list[LogRecord]]:
    """Make a call in a worker; return its result and what was logged."""
    from joblib.externals.loky import process_executor

    # A process keeps freed memory, which is no reason to replace it by a new one.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")
    _end_with(task)
    _this.is_worker, _this.is_quiet = True, task.quiet
    torch.set_num_threads(task.threads)
    threadpool_limits(task.threads)  # of libraries that do not ask torch
    call = unpickle(task.call, task.arrays)  # which may import modules that configure logging
    records = _Records()
    logging.root.handlers = [records]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        return call(), records.kept
    except Exception as error:
        note_file(error)
        raise


class _Records(logging.Handler):
    """Keeps log records, with their messages complete, to be logged by another process."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[LogRecord] = []

    def emit(self, record: LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None
        record.exc_info = None
        self.kept.append(record)


_tasks: list[_Task] = []  # the newest that this worker has


def _end_with(task: _Task) -> None:
    """End this process when its parent has ended: no one waits for its results, and another run may take its place."""
    is_watched = bool(_tasks)
    _tasks[:] = [task]
    if is_watched:
        return

    def watch() -> None:
        while os.getppid() == task.parent:
            time.sleep(_SECONDS)
        shutil.rmtree(_tasks[0].folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
