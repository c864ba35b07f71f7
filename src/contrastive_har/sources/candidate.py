"""A recording that a source has found but not read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contrastive_har.signals.recordings import Recording


@dataclass(frozen=True)
class Candidate:
    """Where a recording is and how to read it.

    Attributes:
        name: Name of the recording to be.
        where: File (and part of it) for messages.
        load: Reads it; raises ``BadRecordingError`` if that can't be done.
        first_row: Row number in the file of its first sample.
    """

    name: str
    where: str
    load: Callable[[], Recording]
    first_row: int = 1
