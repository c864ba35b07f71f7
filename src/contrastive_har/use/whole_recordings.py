"""What to expect of a recogniser: its timelines of whole recordings of test people, second by second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.scores.metrics import f1_by_class
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import Piece, Recording, Recordings
from contrastive_har.signals.roles import Role, Roles
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.timelines import InferenceSettings, TimelineRows, recognise_recordings
from contrastive_har.use.validation import members_for

COLUMNS = ["subject", "recordings", "seconds", "unknown", "unlabelled", "macro_f1", "accuracy"]

_LEARNED_FROM: tuple[Role, ...] = ("pretrain", "train", "validation")


def score_recordings(
    recogniser: TrainedRecogniser,
    recordings: Recordings,
    windows: Windows,
    roles: Mapping[str, Roles],
    settings: InferenceSettings,
) -> pd.DataFrame:
    """Recognise the whole recordings of the test people as new recordings are, and score every second of them.

    Windows cross no border of activities, so that scores of windows leave out the seconds around borders and
    stretches that are shorter than a window; here they count. So do seconds with an activity that the recogniser
    does not know, such as a transition: whatever it answers is wrong. The activity of a second is the one of most of
    its samples. A second for which the timeline has none, as in a stretch between two gaps that is shorter than a
    window, counts as wrong.

    Args:
        recogniser: A recogniser.
        recordings: All recordings of the data set it was trained on.
        windows: The windows of its protocol.
        roles: Roles of the windows by split: people with test windows in the recogniser's repeat, and with no other
            window in it, are test people.
        settings: How activities are recognised.

    Returns:
        One row per test person: subject, number of recordings, seconds with an activity, those of them whose activity
        the recogniser does not know (``unknown``), seconds without one (``unlabelled``, which are not scored), accuracy
        and the macro-F1 of the activities that it knows. Empty for a recogniser of clips, and where nobody is a test
        person, as with a split by sessions.
    """
    origin = recogniser.origin
    test = members_for(origin, roles, "test")
    subjects = windows.table["subject"]
    used = {one for role in _LEARNED_FROM for one in subjects.iloc[members_for(origin, roles, role)]}
    tested = [] if recogniser.architecture.clips else subjects.iloc[test].unique().tolist()
    people = [one for one in tested if one not in used]
    classes, counts = len(recogniser.description.class_names), dict.fromkeys(people, 0)
    # The last row is of seconds with an unknown activity, the last column of those without an answer.
    confusions = {subject: np.zeros((classes + 1, classes + 1), np.int64) for subject in people}
    unlabelled = dict.fromkeys(people, 0)
    for recording in recordings:
        if recording.subject not in confusions:
            continue
        true, predicted = _by_second(recogniser, recordings.description, recording, settings)
        labelled = true >= 0
        np.add.at(confusions[recording.subject], (true[labelled], predicted[labelled]), 1)  # -1: the last column
        unlabelled[recording.subject] += int((~labelled).sum())
        counts[recording.subject] += 1
    rows = [
        (subject, counts[subject], int(found.sum()), int(found[-1].sum()), unlabelled[subject], *_scores(found))
        for subject, found in confusions.items()
        if found[:-1].sum()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scores(found: NDArray[np.int64]) -> tuple[float, float]:
    """Return macro-F1 of the known activities and accuracy; nothing in the last row and column is right."""
    return float(np.nanmean(f1_by_class(found)[:-1])), float(np.diag(found)[:-1].sum() / found.sum())


def _by_second(
    recogniser: TrainedRecogniser, description: DatasetDescription, recording: Recording, settings: InferenceSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the class of every second of a recording, and the recognised one.

    -1 stands for none, the number of classes for an activity that the recogniser does not know.
    """
    rate = description.sampling_rate_hz
    seconds = (recording.sample - recording.sample[0]) / rate
    names = list(recogniser.description.class_names)
    codes = {code: names.index(name) if name in names else len(names) for code, name in description.activities.items()}
    classes = np.array([codes[int(code)] if code != UNLABELLED else -1 for code in recording.activity])
    second = seconds.astype(np.int64)
    numbers, place = np.unique(second, return_inverse=True)
    votes = np.zeros((len(numbers), len(names) + 2), np.int64)
    np.add.at(votes, (place, classes), 1)  # the last column is of samples without an activity
    true = votes.argmax(axis=1)
    true[true == len(names) + 1] = -1
    starts, recognised = [], []
    for rows in _timeline(recogniser, description, recording, settings):
        starts.append(rows.start)
        answered = np.isfinite(rows.probabilities).all(axis=1)
        recognised.append(np.where(answered, np.nan_to_num(rows.probabilities).argmax(axis=1), -1))
    # The sample in the middle of each second; next to a gap, the one of its samples that is nearest to it.
    last = np.searchsorted(second, numbers, side="right") - 1
    middle = seconds[np.minimum(np.searchsorted(seconds, numbers + 0.5), last)]
    row = np.searchsorted(np.concatenate(starts), middle, side="right") - 1
    return true, np.concatenate(recognised)[row.clip(min=0)]


def _timeline(
    recogniser: TrainedRecogniser, description: DatasetDescription, recording: Recording, settings: InferenceSettings
) -> Iterator[TimelineRows]:
    rate = description.sampling_rate_hz
    columns = [description.channel_names.index(name) for name in recogniser.description.channel_names]
    piece = Piece(
        recording.name,
        Path(recording.name),
        1,
        recording.sample / rate,
        recording.samples[:, columns].astype(np.float64),
        rate,
    )
    timeline = recognise_recordings(lambda: [piece], recogniser, settings)
    return (rows for rows in timeline.rows() if isinstance(rows, TimelineRows))
