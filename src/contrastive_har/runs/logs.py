"""The log of a run: a file of JSON lines beside its manifest, for whoever was not at the console."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

LOG = "run_log.jsonl"


class RunLog(logging.FileHandler):
    """Appends every message to the log of a run; each task and repetition of the run adds to the same file.

    Args:
        folder: Of all logs; there is a folder a run in it, as for any versioned data set.
        run_id: Whose log.
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
        """Log what ended the run; the console shows it anyway."""
        what = (type(error), error, error.__traceback__)
        self.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, str(error), None, what))
