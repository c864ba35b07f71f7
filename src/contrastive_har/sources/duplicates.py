"""Detection of recordings that duplicate an earlier one, in whole or in part.

Duplicated samples could be on both sides of a split. A recording is summarised by marks: checksums of short runs of
samples, of which a few are chosen by their value. If the same samples occur again, at whatever position, the same runs
are chosen. This takes little memory and one pass.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from contrastive_har.signals.recordings import BadRecordingError, Recording, Rejection

_ALIKE = str.maketrans("авеікмнорсѕтухјαβεικνορτυχ", "abeikmhopcstyxjabeiknoptux")  # look-alikes
_RUN = 8  # samples of a mark; runs of constant samples, from a resting or clipped sensor, have no mark
_CHOSEN = 64  # one run in this many is chosen
_ENOUGH = 3  # chosen marks, below which all runs are used
_SHARED = 0.5  # share of a recording's marks found in one other recording, at which it is a duplicate


def same_name(name: str, where: str, other: str) -> BadRecordingError:
    """Return the refusal of a recording whose name another one has, given the files of both."""
    return BadRecordingError(f"{where}: a recording named '{name}' is also in {other}. Name them differently.")


class SeenRecordings:
    """The recordings accepted so far.

    Args:
        distinct: Names of subjects that are different people although they are similar; None if similar names are not
            looked at.
    """

    def __init__(self, distinct: Collection[str] | None = None) -> None:
        self._where: list[str] = []
        self._names: dict[str, str] = {}
        self._digests: dict[bytes, str] = {}
        self._marks: dict[int, tuple[int, int]] = {}
        self._distinct = distinct
        self._subjects: dict[str, tuple[str, str]] = {}

    def reject_repetition(self, recording: Recording, where: str) -> Rejection | None:
        """Add a recording; return its rejection if it duplicates an earlier one, None if it does not."""
        try:
            self.refuse_repetition(recording, where)
        except BadRecordingError as error:
            return Rejection(recording.name, str(error))
        return None

    def refuse_repetition(self, recording: Recording, where: str) -> None:
        """Add a recording, unless it duplicates an earlier one.

        Args:
            recording: The recording.
            where: File of the recording, for messages.

        Raises:
            BadRecordingError: if its name, all its samples, or about half of them occurred before; names both files.
        """
        if recording.name in self._names:
            raise same_name(recording.name, where, self._names[recording.name])
        digest = hashlib.sha256(recording.samples.tobytes()).digest()
        if digest in self._digests:
            raise BadRecordingError(
                f"{where}: holds the same samples as {self._digests[digest]}, byte for byte. Remove one of the two."
            )
        self._refuse_similar_subject(recording.subject, where)
        marks, positions = stretch_marks(recording.samples)
        # A copy has its samples in the same order: what two recordings have in common by chance, such as the few values
        # of a coarse sensor, is at various distances.
        both = list(zip(marks.tolist(), positions.tolist(), strict=True))
        earlier = [(self._marks[mark][0], self._marks[mark][1] - at) for mark, at in both if mark in self._marks]
        if earlier:
            (other, _), shared = Counter(earlier).most_common(1)[0]
            if shared >= _SHARED * len(marks):
                share = 100 * shared / len(marks)
                raise BadRecordingError(
                    f"{where}: about {share:.0f} % of its samples are also in {self._where[other]}. "
                    "Remove one of the two."
                )
        index = len(self._where)
        self._where.append(where)
        self._names[recording.name] = self._digests[digest] = where
        self._marks.update((mark, (index, at)) for mark, at in both if mark not in self._marks)

    def _refuse_similar_subject(self, subject: str, where: str) -> None:
        if self._distinct is None or subject in self._distinct:
            return
        plain = re.sub(r"0*(\d+)", r"\1", "".join(filter(str.isalnum, _latin(subject))))
        other, place = self._subjects.setdefault(plain or subject, (subject, where))
        if other != subject:
            raise BadRecordingError(
                f"{where}: subject '{subject}' may be '{other}' of {place}. Write 'subjects: {{\"{subject}\": "
                f'"{other}"}}\' in dataset.yml if they are one person, \'subjects: {{"{subject}": "{subject}"}}\' '
                "if they are two."
            )


def _latin(name: str) -> str:
    """Return a name in small letters, wide and Cyrillic or Greek letters as the Latin ones that look like them."""
    return unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)


def stretch_marks(samples: NDArray[np.float32]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the distinct marks of chosen runs of ``samples`` (time, channels), and where each is first.

    In short recordings, with too few chosen runs, every run has a mark.
    """
    if len(samples) < _RUN:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    bits = np.ascontiguousarray(samples).view(np.uint32).astype(np.uint64)
    rng = np.random.default_rng(0)  # any fixed odd factors: a mark is a checksum modulo 2^64
    rows = (bits * (rng.integers(2**63, size=bits.shape[1], dtype=np.uint64) | np.uint64(1))).sum(1, dtype=np.uint64)
    factors = rng.integers(2**63, size=_RUN, dtype=np.uint64) | np.uint64(1)
    count = len(rows) - _RUN + 1
    runs = sum((rows[shift : shift + count] * factor for shift, factor in enumerate(factors)), np.zeros(1, np.uint64))
    moving = sum((rows[shift : shift + count] != rows[0:count] for shift in range(1, _RUN)), np.zeros(1, bool)) > 0
    places = np.flatnonzero(moving)
    chosen = places[(runs[places] >> np.uint64(32)) % np.uint64(_CHOSEN) == 0]
    marks, first = np.unique(runs[chosen if len(chosen) >= _ENOUGH else places], return_index=True)
    return marks, (chosen if len(chosen) >= _ENOUGH else places)[first]
