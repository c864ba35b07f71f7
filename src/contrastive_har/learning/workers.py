"""Worker processes: independent parts of a computation side by side on the cores of one machine."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from logging import LogRecord
from typing import Any, Generic, TypeVar

import torch
from threadpoolctl import threadpool_limits

Result = TypeVar("Result")

# Without them, glibc returns the buffers of each step to the system: a tenth of the time of a step.
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
_SECONDS = 1.0  # between two looks at whether the parent process is still there


@dataclass(frozen=True)
class Pending(Generic[Result]):
    """A call that a worker makes.

    Attributes:
        future: Its result, and what was logged.
    """

    future: Future[tuple[Result, list[LogRecord]]]

    def result(self) -> Result:
        """Wait for the result and return it; log here what was logged there.

        Raises:
            Exception: what the call raises.
        """
        result, records = self.future.result()
        for record in records:
            logging.getLogger(record.name).handle(record)
        return result


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

        Large arrays among its arguments are written once and mapped into the memory of all processes.

        Args:
            call: Module-level function with all its arguments.
            quiet: Whether it shows no progress.
        """
        return Pending(self._executor().submit(_work, call, self.threads, os.getpid(), quiet))

    def map(self, calls: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Make calls side by side and yield their results in order; the first shows its progress.

        Raises:
            Exception: what a call raises.
        """
        try:
            pending = [self.submit(call, quiet=call is not calls[0]) for call in calls]
            yield from (one.result() for one in pending)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the processes, whatever they do."""
        self._executor().terminate(kill_workers=True)

    def _executor(self) -> Any:
        from joblib.executor import get_memmapping_executor  # takes long to import

        for name, value in _KEEP_FREED_MEMORY.items():
            os.environ.setdefault(name, value)
        return get_memmapping_executor(self.count, mmap_mode="c")


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


def _work(call: Callable[[], Result], threads: int, parent: int, quiet: bool) -> tuple[Result, list[LogRecord]]:
    """Make a call in a worker; return its result and what was logged."""
    _end_with(parent)
    _this.is_worker, _this.is_quiet = True, quiet
    torch.set_num_threads(threads)
    threadpool_limits(threads)  # of libraries that do not ask torch
    records = _Records()
    logging.root.handlers = [records]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    return call(), records.kept


class _Records(logging.Handler):
    """Keeps log records, with their messages complete, to be logged by another process."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[LogRecord] = []

    def emit(self, record: LogRecord) -> None:
        record.msg, record.args = record.getMessage(), None
        record.exc_info = None
        self.kept.append(record)


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: no one waits for its results, and another run may take its place."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
