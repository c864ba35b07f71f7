"""Recordings that a source has found but not read yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from contrastive_har.files.stamps import explain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recording, check_recording


class NoRecordingError(BadRecordingError):
    """A file that is no recording, and is passed over; the message says why."""


@dataclass(frozen=True)
class Candidate:
    """A recording that can be read; if its file holds no other, it is also that file (:data:`File`).

    Attributes:
        name: Name of the recording.
        where: File (and part of it) for messages.
        load: Reads it; raises ``BadRecordingError`` if that cannot be done.
        rows: Row numbers of its samples in the file, if they are not 1, 2, ...
    """

    name: str
    where: str
    load: Callable[[], Recording]
    rows: Sequence[int] | None = None

    @classmethod
    def failed(cls, name: str, where: str, error: Exception) -> Candidate:
        """Return the recording of a file that could not be read, whose error is raised when it is read."""
        return cls(name, where, partial(_raise, error))

    def __call__(self) -> Iterable[Candidate]:
        """Return the single recording of this file."""
        return (self,)

    def read(self, description: DatasetDescription) -> Recording:
        """Read and check the recording.

        Raises:
            BadRecordingError: if it cannot be used.
        """
        try:
            recording = self.load()
            check_recording(recording, description, self.where, self.rows)
        except (BadRecordingError, MemoryError):
            raise
        # Damaged and malicious files cause errors that their readers do not document; other files are still read.
        except Exception as error:
            raise BadRecordingError(
                f"{self.where}: cannot be read ({explain(error)}). Correct or replace it."
            ) from error
        return recording


File = Callable[[], Iterable[Candidate]]
"""A file that can be read in any process: a function that returns the recordings in it."""


def _raise(error: Exception) -> Recording:
    raise error
