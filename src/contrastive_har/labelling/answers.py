"""Answers: what people said of stretches of recordings, on disk as a file of intervals."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from contrastive_har.files.atomic import write_atomically
from contrastive_har.files.stamps import explain
from contrastive_har.scores.metrics import cohen_kappa
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.strict import StrictModel

Remark = Literal["", "unsure", "skipped"]


class Answer(StrictModel):
    """What one person said of a stretch.

    Attributes:
        recording: Name of the recording.
        start: Time of its first sample, in seconds on the clock of the recording's time stamps.
        end: Time after its last sample.
        activity: Name of the activity; empty if there is none.
        labeller: Who said it.
        labelled_at: When, in UTC (ISO 8601).
        remark: ``unsure`` or ``skipped`` if the stretch was shown but got no activity.
    """

    recording: str
    start: float
    end: float
    activity: str
    labeller: str
    labelled_at: str
    remark: Remark = ""


COLUMNS = list(Answer.model_fields)


@dataclass(frozen=True)
class AnswerFile:
    """A CSV file of answers in the order in which they were given, which ingestion reads as a file of intervals.

    Every answer is on disk when :meth:`append` returns. A last row that was cut off, as by a power failure, counts as
    not given.

    Attributes:
        path: The file; it need not exist.
    """

    path: Path

    def read(self) -> list[Answer]:
        """Return all answers.

        Raises:
            BadRecordingError: if the file has other columns, or a row without times.
        """
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        table = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        if table.fieldnames is not None and list(table.fieldnames) != COLUMNS:
            raise BadRecordingError(
                f"{self.path}: columns {', '.join(table.fieldnames)}; a file of answers has {', '.join(COLUMNS)}. "
                "Choose another name for the labels."
            )
        answers = []
        for row in table:
            try:
                answers.append(Answer.model_validate(row))
            except ValidationError as error:
                raise BadRecordingError(
                    f"{self.path}, row {table.line_num}: {explain(error)}. Correct or remove it."
                ) from error
        return answers

    def append(self, answer: Answer) -> None:
        """Add an answer, and wait until it is on the disk."""
        if not self.path.exists() or not self.path.read_bytes().endswith(b"\n"):
            self._rewrite([*self.read(), answer])
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(list(answer.model_dump().values()))
            file.flush()
            os.fsync(file.fileno())

    def undo(self) -> Answer | None:
        """Take back the last answer, and return it; None if there is none."""
        answers = self.read()
        if not answers:
            return None
        self._rewrite(answers[:-1])
        return answers[-1]

    def _rewrite(self, answers: Iterable[Answer]) -> None:
        with write_atomically(self.path) as staged:
            write_answers(answers, staged)


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write answers as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(list(answer.model_dump().values()) for answer in answers)


@dataclass(frozen=True)
class Agreement:
    """How far two labellers agree on the time that both gave an activity.

    Attributes:
        seconds: Time that both gave an activity.
        kappa: Cohen's kappa of this time; NaN if there is none, or a single activity.
        disagreements: Stretches of different activities: recording, start, end, first, second.
    """

    seconds: float
    kappa: float
    disagreements: pd.DataFrame


def compare_answers(first: Sequence[Answer], second: Sequence[Answer]) -> Agreement:
    """Compare the answers of two labellers, where their stretches overlap."""
    rows = []
    for one in first:
        for other in second:
            start, end = max(one.start, other.start), min(one.end, other.end)
            if one.recording == other.recording and start < end and one.activity and other.activity:
                rows.append((one.recording, start, end, one.activity, other.activity))
    both = pd.DataFrame(rows, columns=["recording", "start", "end", "first", "second"])
    names = sorted({*both["first"], *both["second"]})
    counts = np.zeros((len(names), len(names)), np.int64)
    milliseconds = np.rint(1000 * (both["end"] - both["start"]).to_numpy(np.float64)).astype(np.int64)
    places = ([names.index(name) for name in both[column]] for column in ("first", "second"))
    np.add.at(counts, tuple(places), milliseconds)
    disagreements = both[both["first"] != both["second"]].sort_values(["recording", "start"], ignore_index=True)
    kappa = cohen_kappa(counts) if counts.sum() else float("nan")
    return Agreement(float(milliseconds.sum()) / 1000, kappa, disagreements)
