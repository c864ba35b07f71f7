"""A labelling session: windows of recordings are proposed, people answer, a head learns, the next are proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field

from contrastive_har.labelling.answers import Answer, AnswerFile, Remark
from contrastive_har.labelling.candidates import Candidates
from contrastive_har.labelling.heads import LabelledHead
from contrastive_har.labelling.recordings import Unlabelled, read_unlabelled
from contrastive_har.labelling.stopping import Labelled
from contrastive_har.labelling.strategies import BaseStrategy, ClusterCentres, Strategy
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.pretraining.encoders import embed
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.backbone import Backbone
from contrastive_har.models.encoders.hand_features import HandFeaturesSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.signals.windows import Windows
from contrastive_har.sources.my_data import describe
from contrastive_har.strict import StrictModel
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser

_FIRST = ClusterCentres(unit_length=True)  # the best of the first few labels on hand features: docs/labelling.md
PROPOSAL_COLUMNS = ["recording", "start", "end", "seconds", "why"]


class LabellingSettings(StrictModel):
    """How windows to label are proposed.

    Attributes:
        windows: Windows, or stretches, that are proposed in a round; then the head learns, and the next round begins.
        strategy: The strategy that chooses them; one that needs a head begins with cluster centres.
        recogniser: File of a recogniser whose encoder embeds the windows; null takes hand features.
        length: Length of a window in seconds; that of the recogniser if there is one.
        stride: Seconds from one window to the next.
        longest_gap: Seconds without samples that are interpolated; a longer gap divides the recording.
        labels: Name of the file of answers, beside the recordings.
        head: The head that learns from the labels; one that is fitted.
        seed: Seed of the draws.
    """

    windows: int = Field(default=24, gt=0)
    strategy: Strategy = _FIRST
    recogniser: Path | None = None
    length: float = Field(default=2.56, gt=0)
    stride: float = Field(default=1.28, gt=0)
    longest_gap: float = Field(default=0.25, gt=0)
    labels: str = "labels.csv"
    head: HeadSettings = LogisticSettings()
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Example:
    """A labelled window that is near to another.

    Attributes:
        index: The window.
        activity: Its activity.
    """

    index: int
    activity: str


class LabellingSession:
    """Windows of a folder, and the answers to them so far, which are on disk.

    Everything follows from the recordings, the settings and the file of answers: a session that is opened again goes on
    where the last one ended.

    Args:
        folder: The recordings, with a ``dataset.yml``; or a single file of them.
        settings: Strategy and encoder.

    Raises:
        BadRecordingError: if the recordings cannot be used.
    """

    def __init__(self, folder: Path, settings: LabellingSettings) -> None:
        self.settings = settings
        beside = folder if folder.is_dir() else folder.parent
        self.file = AnswerFile(beside / settings.labels)
        description = describe(beside)
        recogniser = None if settings.recogniser is None else read_recogniser(settings.recogniser)
        self.activities = list(description.class_names)
        self.unlabelled = _read(folder, description, recogniser, settings)
        self.embeddings, widths = _embed(self.unlabelled.windows, recogniser)
        table, rate = self.unlabelled.windows.table, self.unlabelled.rate
        found = Candidates.of(table, self.embeddings, rate, self.unlabelled.part)
        self._candidates = found.in_stretches(settings.strategy.stretch)
        self.head = LabelledHead(settings.head, widths, self.activities)
        self._rounds: dict[tuple[Answer, ...], list[int]] = {}

    def answers(self) -> list[Answer]:
        """Return the answers on disk."""
        return self.file.read()

    def proposals(self) -> list[int]:
        """Return the windows of this round that have no answer yet, the most wanted first; none if all have one."""
        return self._round()[1]

    def _round(self) -> tuple[Sequence[Answer], list[int]]:
        """Return the answers by which the windows of this round were chosen, and those windows that have none yet."""
        answers = self.answers()
        begun = len(answers) // self.settings.windows * self.settings.windows
        done = np.zeros(len(self.embeddings), bool)
        for answer in answers:
            done |= self._overlapping(answer)

        def left(given: Sequence[Answer]) -> list[int]:
            return [index for index in self._choose(given) if not done[self.members(index)].any()]

        rounds = ((given, left(given)) for given in (answers[:begun], answers))
        return next(((given, some) for given, some in rounds if some), (answers, []))

    def table(self) -> pd.DataFrame:
        """Return what is proposed: recording, start and end (seconds by its time stamps), seconds to look at, why."""
        given, proposals = self._round()
        why = self._chooser(self._labelled(self._covered(given))[1]).why
        spans = [(self._recording(index), *self.span(index)) for index in proposals]
        rows = [(name, start, end, round(end - start, 6), why) for name, start, end in spans]
        return pd.DataFrame(rows, columns=PROPOSAL_COLUMNS)

    def members(self, index: int) -> NDArray[np.int64]:
        """Return the windows that an answer to a window labels: those of its stretch, or itself."""
        return self._candidates.members(index)

    def span(self, index: int) -> tuple[float, float]:
        """Return the time that an answer to a window labels: start and end, in seconds by its time stamps."""
        members = self.members(index)
        return self.unlabelled.seconds(int(members[0]), int(members[-1]))

    def answer(self, index: int, activity: str, labeller: str, remark: Remark = "") -> Answer:
        """Write the answer to a window, or to the stretch that it was chosen for, to disk.

        Args:
            index: The window.
            activity: Name of its activity; empty with a remark.
            labeller: Who said it.
            remark: Why there is no activity.

        Raises:
            ValueError: if there is no such window or activity, or it has an answer, as from another page.
        """
        if not 0 <= index < len(self.embeddings):
            raise ValueError(f"there is no window {index}")
        if activity not in self.activities and not (remark and not activity):
            raise ValueError(f"unknown activity '{activity}'; there are {', '.join(self.activities)}")
        start, end = self.span(index)
        if any(self._overlapping(other)[self.members(index)].any() for other in self.answers()):
            raise ValueError("this has an answer already")
        given = Answer(
            recording=self._recording(index),
            start=start,
            end=end,
            activity=activity,
            labeller=labeller,
            labelled_at=datetime.now(UTC).isoformat(timespec="seconds"),
            remark=remark,
        )
        self.file.append(given)
        return given

    def labelled(self) -> tuple[NDArray[np.int64], Labelled]:
        """Return the windows that have an activity, in the order of the answers, and what is known of them."""
        return self._labelled(self._covered(self.answers()))

    def believed(self, index: int) -> dict[str, float]:
        """Return the probabilities that a head trained on the labels gives what is asked for with a window: their mean.

        There are none before two activities have labels.
        """
        fitted = self._fitted(self.labelled()[1])
        if fitted is None:
            return {}
        probabilities = fitted(torch.from_numpy(self.embeddings[self.members(index)])).mean(0)
        return dict(zip(self.activities, map(float, probabilities), strict=True))

    def examples(self, index: int, count: int) -> list[Example]:
        """Return the labelled windows whose embeddings are nearest to that of a window, the nearest first."""
        indices, labelled = self.labelled()
        distances = np.linalg.norm(labelled.embeddings - self.embeddings[index], axis=1)
        order = np.argsort(distances, kind="stable")[:count]
        return [Example(int(indices[one]), self.activities[labelled.classes[one]]) for one in order]

    def _covered(self, answers: Sequence[Answer]) -> dict[int, str]:
        """Return the activity of each window that lies within an answer, in the order of the answers."""
        table, rate = self.unlabelled.windows.table, self.unlabelled.rate
        starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
        covered: dict[int, str] = {}
        for answer in answers:
            inside = (starts >= answer.start * rate - 1) & (ends <= answer.end * rate + 1)
            covered |= dict.fromkeys(np.flatnonzero(inside & self._of(answer)).tolist(), answer.activity)
        return covered

    def _overlapping(self, answer: Answer) -> NDArray[np.bool_]:
        """Return which windows share more than a sample with an answer (windows,)."""
        table, rate = self.unlabelled.windows.table, self.unlabelled.rate
        starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
        return np.asarray((starts < answer.end * rate - 1) & (ends > answer.start * rate + 1) & self._of(answer))

    def _of(self, answer: Answer) -> NDArray[np.bool_]:
        return np.asarray(self.unlabelled.windows.table["recording"].to_numpy() == answer.recording)

    def _labelled(self, covered: Mapping[int, str]) -> tuple[NDArray[np.int64], Labelled]:
        classes = {index: self.activities.index(name) for index, name in covered.items() if name in self.activities}
        indices = np.array(list(classes), np.int64)
        people = self.unlabelled.windows.table["subject"].to_numpy().astype(object)[indices]
        return indices, Labelled(self.embeddings[indices], np.array(list(classes.values()), np.int64), people)

    def _choose(self, answers: Sequence[Answer]) -> list[int]:
        key = tuple(answers)
        if key not in self._rounds:
            self._rounds.clear()
            covered = self._covered(answers)
            labelled = self._labelled(covered)[1]
            fitted = self._fitted(labelled)
            probabilities = None if fitted is None else fitted(torch.from_numpy(self.embeddings))
            begun = [np.flatnonzero(self._overlapping(answer)) for answer in answers]
            closed = np.concatenate([np.empty(0, np.int64), *begun])
            candidates = replace(self._candidates.with_labelled(list(covered), probabilities), closed=closed)
            seed = derive_seed(self.settings.seed, "proposals", len(answers))
            chosen = self._chooser(labelled).choose(candidates, self.settings.windows, seed)
            self._rounds[key] = chosen.tolist()
        return self._rounds[key]

    def _chooser(self, labelled: Labelled) -> BaseStrategy:
        strategy: BaseStrategy = self.settings.strategy
        if strategy.needs_probabilities and len(np.unique(labelled.classes)) < 2:
            return strategy.first_by(_FIRST)
        return strategy

    def _fitted(self, labelled: Labelled) -> LabelledHead | None:
        if len(np.unique(labelled.classes)) < 2:
            return None
        return self.head.fit(torch.from_numpy(labelled.embeddings), labelled.classes, self.settings.seed)

    def _recording(self, index: int) -> str:
        return str(self.unlabelled.windows.table["recording"].iloc[index])


def _read(
    folder: Path, own: DatasetDescription, recogniser: TrainedRecogniser | None, settings: LabellingSettings
) -> Unlabelled:
    if recogniser is not None:
        known = recogniser.description
        return read_unlabelled(folder, known, recogniser.length, recogniser.stride, settings.longest_gap)
    length, stride = (max(1, round(value * own.sampling_rate_hz)) for value in (settings.length, settings.stride))
    return read_unlabelled(folder, own, length, stride, settings.longest_gap)


def _embed(windows: Windows, recogniser: TrainedRecogniser | None) -> tuple[NDArray[np.float32], list[int]]:
    """Return embeddings (windows, features), and their width by modality."""
    backbone: Backbone
    if recogniser is not None:
        backbone = recogniser.build().backbone
    else:
        backbone = BackboneSettings(encoder=HandFeaturesSettings()).build(windows.layout).eval()
        with torch.no_grad():
            backbone.calibrate(torch.from_numpy(windows.signals))
    embeddings = embed(backbone, windows.signals, ComputeSettings(device="cpu").resolve())
    return np.asarray(embeddings.numpy()), backbone.widths
