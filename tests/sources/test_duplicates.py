from __future__ import annotations

import numpy as np
import pytest

from contrastive_har.signals.recordings import BadRecordingError, Recording
from contrastive_har.sources.duplicates import SeenRecordings, stretch_marks

RNG = np.random.default_rng(0)
WALK = RNG.standard_normal((3000, 6)).astype(np.float32)


def recording(samples: np.ndarray, name: str) -> Recording:
    return Recording("1", name, np.arange(len(samples)), np.zeros(len(samples), np.int16), samples)


def refuse(*recordings: tuple[np.ndarray, str]) -> None:
    seen = SeenRecordings()
    for samples, name in recordings:
        seen.refuse_repetition(recording(samples, name), f"{name}.csv")


@pytest.mark.parametrize(
    "again",
    [
        WALK[:2999],
        WALK[500:2500],
        WALK[1:],
        np.concatenate([WALK[100:1700], RNG.standard_normal((900, 6))]).astype("f4"),
    ],
    ids=["all but one", "a part", "moved by one", "with something new"],
)
def test_repetitions_are_refused(again: np.ndarray) -> None:
    with pytest.raises(BadRecordingError, match=r"b\.csv: about \d+ % of its samples are also in a\.csv"):
        refuse((WALK, "a"), (RNG.standard_normal((700, 6)).astype(np.float32), "other"), (again, "b"))


@pytest.mark.parametrize("samples", [WALK, np.zeros((50, 6), np.float32), WALK[:3]], ids=["walk", "still", "short"])
def test_whole_copies_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(BadRecordingError, match=r"b\.csv: holds the same samples as a\.csv, byte for byte"):
        refuse((samples, "a"), (samples.copy(), "b"))


def test_a_short_recording_is_recognised_too() -> None:
    with pytest.raises(BadRecordingError, match="also in a"):
        refuse((WALK[:40], "a"), (WALK[1:40], "b"))


def test_different_recordings_pass() -> None:
    refuse(*((RNG.standard_normal((2000, 6)).astype(np.float32), f"recording {index}") for index in range(20)))


def test_a_small_common_part_passes() -> None:
    refuse((WALK, "a"), (np.concatenate([WALK[:300], RNG.standard_normal((2700, 6))]).astype(np.float32), "b"))


def test_resting_sensors_are_no_repetition() -> None:
    """A sensor that lies still, or is clipped, gives the same samples again and again."""
    for value in (0.0, 1.0):
        still = np.full((1500, 6), value, np.float32)
        assert len(stretch_marks(still)[0]) == 0
        refuse((still, "a"), (still[1:], "b"))


def test_names_are_unique() -> None:
    seen = SeenRecordings()
    seen.refuse_repetition(recording(WALK, "same"), "a.csv")
    with pytest.raises(BadRecordingError, match=r"b\.csv: a recording named 'same' is also in a\.csv"):
        seen.refuse_repetition(recording(-WALK, "same"), "b.csv")


def test_few_marks_are_kept() -> None:
    long = RNG.standard_normal((64_000, 6)).astype(np.float32)
    assert 700 < len(stretch_marks(long)[0]) < 1300
