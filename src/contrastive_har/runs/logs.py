"""The log of a run: a file of JSON lines beside its manifest."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

LOG = "run_log.jsonl"


class RunLog(logging.FileHandler):
    """Appends every message to the log of a run; all tasks and retries of the run append to the same file.

    Args:
        folder: Folder of all logs, with one subfolder per run, as for any versioned data set.
        run_id: Id of the run.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        path = folder / LOG / run_id / LOG
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", delay=True)
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "run_id": self._run_id,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = logging.Formatter().formatException(record.exc_info)
        return json.dumps(line)

    def note(self, error: Exception) -> None:
        """Log the error that ended the run, to the file only: Kedro shows it on the console."""
        exc_info = (type(error), error, error.__traceback__)
        self.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, str(error), None, exc_info))
