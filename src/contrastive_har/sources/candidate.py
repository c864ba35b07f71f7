"""What a source has found but not read yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from contrastive_har.signals.recordings import Recording


@dataclass(frozen=True)
class Candidate:
    """Where a recording is and how to read it.

    Attributes:
        name: Name of the recording to be.
        where: File (and part of it) for messages.
        load: Reads it; raises ``BadRecordingError`` if that can't be done.
        rows: Row numbers in the file of its samples, where they are not 1, 2, ...
    """

    name: str
    where: str
    load: Callable[[], Recording]
    rows: Sequence[int] | None = None


File = Callable[[], Iterator[Candidate]]
"""Something that can be read on its own, on any machine: called, it finds the recordings in one file."""
