"""Worker processes: independent parts of a computation side by side on the cores of one machine."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from logging import LogRecord
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Result = TypeVar("Result")

# Without them, glibc returns the buffers of each step to the system: a tenth of the time of a step.
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
_SECONDS = 1.0  # between two looks at whether the parent process is still there


def run_in_workers(calls: Sequence[Callable[[], Iterable[Result]]], threads: int) -> Iterator[list[Result]]:
    """Yield the results of each call, in order; each call has a process of its own, with some ``threads``.

    Large arrays among the arguments are written once and mapped into the memory of all processes. Log records of the
    processes are logged here. The processes are kept for the next time.

    Args:
        calls: Module-level functions with all their arguments.
        threads: Threads of each process.

    Raises:
        Exception: what a call raises.
    """
    from joblib import Parallel, delayed  # takes long to import

    for name, value in _KEEP_FREED_MEMORY.items():
        os.environ.setdefault(name, value)
    parallel = Parallel(n_jobs=len(calls), backend="loky", mmap_mode="c", return_as="generator")
    for results, records in parallel(delayed(_work)(call, threads, os.getpid()) for call in calls):
        for record in records:
            logging.getLogger(record.name).handle(record)
        yield results


def _work(call: Callable[[], Iterable[Result]], threads: int, parent: int) -> tuple[list[Result], list[LogRecord]]:
    """Make a call in a worker; return its results and what was logged."""
    _end_with(parent)
    torch.set_num_threads(threads)
    threadpool_limits(threads)  # of libraries that do not ask torch
    records = _Records()
    logging.root.handlers = [records]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    return list(call()), records.kept


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
