"""WISDM, from small files in the exact official layout with each known defect, and from official files, if any."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastive_har.signals.recordings import BadRecordingError, Recording, Rejection
from contrastive_har.sources import describe_source
from tests.sources.test_official_files import opened
from tests.sources.test_stamped_files import zipped

OFFICIAL = Path(os.environ.get("CONTRASTIVE_HAR_DATA", "no folder")) / "wisdm"
STEP = 50_000_000  # nanoseconds
START = 90_426_708_196_641
Row = tuple[str, int, float, float, float]


def motion(seconds: np.ndarray) -> np.ndarray:
    """Slow movements, which differ between the axes, at given times."""
    return np.column_stack([np.sin(seconds * rate + rate) for rate in (1.0, 1.7, 2.3)])


def rows(letter: str, times: np.ndarray) -> list[Row]:
    return [(letter, int(time), *values) for time, values in zip(times, motion(times / 1e9), strict=True)]


def put(folder: Path, person: int, device: str, sensor: str, written: list[Row] | list[str]) -> Path:
    path = folder / f"wisdm-dataset/raw/{device}/{sensor}/data_{person}_{sensor}_{device}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        row if isinstance(row, str) else f"{person},{row[0]},{row[1]},{','.join(f'{value:.7g}' for value in row[2:])};"
        for row in written
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def wisdm(device: str) -> Callable[[Path], None]:
    """Return what writes the official files of both sensors of three people, of one activity each."""

    def write(folder: Path) -> None:
        for index, (person, letter) in enumerate(((1600, "A"), (1601, "M"), (1650, "S"))):
            times = START + np.arange(200) * STEP + index * 10**12
            put(folder, person, device, "accel", rows(letter, times))
            put(folder, person, device, "gyro", rows(letter, times[2:] + 7_000_000))

    return write


def one_person(folder: Path, accel: list[Row] | list[str], gyro: list[Row] | list[str]) -> list[Recording | Rejection]:
    put(folder, 1600, "watch", "accel", accel)
    put(folder, 1600, "watch", "gyro", gyro)
    return list(opened(folder, "wisdm_watch", "reject").stream())


def check_motion(recording: Recording, start: float, tolerance: float = 0.01) -> None:
    """Check that both sensors hold the movements of the times on the clock."""
    seconds = start + recording.sample / 20
    for channels in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(recording.samples[:, channels], motion(seconds), atol=tolerance)


TIMES = START + np.arange(200) * STEP
GOOD = rows("A", TIMES)


@pytest.mark.parametrize("as_archive", [False, True])
@pytest.mark.parametrize("device", ["watch", "phone"])
def test_both_sensors_are_put_on_one_clock(tmp_path: Path, device: str, as_archive: bool) -> None:
    wisdm(device)(tmp_path)
    if as_archive:
        zipped(tmp_path, "wisdm-dataset.zip")
    recordings = list(opened(tmp_path, f"wisdm_{device}"))
    titles = ("1600, walking", "1601, kicking soccer ball", "1650, folding clothes")
    assert [recording.name for recording in recordings] == [f"subject {title}, stretch 1" for title in titles]
    for index, recording in enumerate(recordings):
        assert len(recording.samples) == 197
        check_motion(recording, (START + 2 * STEP + 7_000_000) / 1e9 + index * 1000)
        assert recording.mended == {"rows without the other sensor": 4}
    assert [int(recording.activity[0]) for recording in recordings] == [0, 12, 18]


def test_each_device_is_a_data_set(tmp_path: Path) -> None:
    wisdm("phone")(tmp_path)
    with pytest.raises(BadRecordingError, match=r"holds no file of WISDM \(watch\)"):
        list(opened(tmp_path, "wisdm_watch"))


def test_the_letters() -> None:
    names = describe_source("wisdm_phone").activities
    assert (len(names), names[ord("H") - 65], names[ord("O") - 65]) == (
        18,
        "eating soup",
        "playing catch with tennis ball",
    )


def swapped(given: list[Row]) -> list[Row]:
    return [given[index ^ 1] for index in range(len(given))]


def coarse(given: list[Row]) -> list[Row]:
    """Times in steps of 200 ms."""
    return [(row[0], START + (row[1] - START) // (4 * STEP) * 4 * STEP, *row[2:]) for row in given]


DEFECTS: dict[str, tuple[list[Row] | list[str], dict[str, int]]] = {
    "none": (GOOD, {}),
    "each row twice": ([row for row in GOOD for _ in range(2)], {"rows that repeat another": 200}),
    "a stretch again": ([*GOOD, *GOOD[20:90]], {"rows that repeat another": 70}),
    "rows out of order": (swapped(GOOD), {"rows out of order": 100}),
    "backwards": (GOOD[::-1], {"rows out of order": 199}),
    "times of a low resolution": (coarse(GOOD), {"rows of equal times": 150}),
    "an odd time": (
        [*GOOD[:50], ("A", START * 9, *GOOD[50][2:]), *GOOD[51:]],
        {"rows of odd times": 1, "samples interpolated": 1},
    ),
    "rows of another form": (
        [
            *(f"1600,A,{row[1]},{row[2]:.7g},{row[3]:.7g},{row[4]:.7g};" for row in GOOD),
            f"1600,A,{TIMES[-1] + STEP},0.5,",
            "1600,A,oops,1,1,1;",
            f"1601,A,{TIMES[-1] + STEP},1,1,1;",
            f"1600,N,{TIMES[-1] + STEP},1,1,1;",
        ],
        {"rows of another form": 4},
    ),
    "several rows on a line": (
        ["".join(f"1600,A,{row[1]},{row[2]:.7g},{row[3]:.7g},{row[4]:.7g};" for row in GOOD)],
        {},
    ),
    "no semicolons": ([f"1600,A,{row[1]},{row[2]:.7g},{row[3]:.7g},{row[4]:.7g}" for row in GOOD], {}),
    "a short gap": (GOOD[:80] + GOOD[90:], {"samples interpolated": 10}),
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("sensor", ["accel", "gyro"])
def test_defects_are_mended_and_counted(tmp_path: Path, defect: str, sensor: str) -> None:
    written, expected = DEFECTS[defect]
    sensors = {"accel": GOOD, "gyro": GOOD} | {sensor: written}
    (recording,) = one_person(tmp_path, **sensors)  # type: ignore[arg-type]
    assert isinstance(recording, Recording)
    assert len(recording.samples) == 200
    check_motion(recording, START / 1e9, 0.2 if defect == "a short gap" else 0.01)
    assert recording.mended == expected


def test_an_activity_in_several_stretches(tmp_path: Path) -> None:
    """With another in between, and a gap of several seconds in one."""
    later = START + np.arange(300, 500) * STEP
    stairs = START + np.arange(600, 700) * STEP
    again = START + np.arange(800, 900) * STEP
    written = [*rows("A", TIMES), *rows("A", later), *rows("C", stairs), *rows("A", again)]
    recordings = one_person(tmp_path, written, written)
    assert [item.name for item in recordings if isinstance(item, Recording)] == [
        *(f"subject 1600, walking, stretch {number}" for number in (1, 2, 3)),
        "subject 1600, climbing stairs, stretch 1",
    ]
    for recording, times in zip(recordings, (TIMES, later, again, stairs), strict=True):
        assert isinstance(recording, Recording)
        assert len(recording.samples) == len(times)
        check_motion(recording, times[0] / 1e9)


def test_a_sensor_with_gaps_divides_the_other(tmp_path: Path) -> None:
    recordings = one_person(tmp_path, GOOD, GOOD[10:60] + GOOD[120:])
    assert [len(item.samples) for item in recordings if isinstance(item, Recording)] == [50, 80]
    assert [item.mended for item in recordings if isinstance(item, Recording)] == [
        {"rows without the other sensor": 70},
        {},
    ]


def test_a_clock_that_was_set_back_joins_what_belongs_together(tmp_path: Path) -> None:
    """Both sensors have two stretches whose times overlap; each row of one file is taken once."""
    second = [("A", time - 120 * STEP, x + 5, y, z) for _, time, x, y, z in rows("A", TIMES + 200 * STEP)]
    recordings = one_person(tmp_path, GOOD + second, GOOD + second)
    assert len(recordings) == 2
    for recording, shift in zip(recordings, (0, 5), strict=True):
        assert isinstance(recording, Recording)
        assert len(recording.samples) == 200
        np.testing.assert_allclose(recording.samples[:, :3], recording.samples[:, 3:], atol=1e-5)
        assert recording.samples[:, 0].mean() == pytest.approx(shift, abs=0.5)


def test_a_faster_sensor_is_filtered(tmp_path: Path) -> None:
    times = START + np.arange(1000) * STEP // 5
    noise = np.sin(2 * np.pi * 45 * (times - START) / 1e9)
    fast = [(row[0], row[1], row[2] + extra, *row[3:]) for row, extra in zip(rows("A", times), noise, strict=True)]
    (recording,) = one_person(tmp_path, fast, GOOD)
    assert isinstance(recording, Recording)
    assert len(recording.samples) == 200
    inner = recording.samples[20:-20]
    np.testing.assert_allclose(inner, np.tile(motion(START / 1e9 + np.arange(20, 180) / 20), 2), atol=0.03)


REJECTED = {
    "other times": (rows("A", TIMES + 10**13), "200 rows of this activity"),
    "another activity": (rows("B", TIMES), "200 rows of this activity"),
    "one time for all rows": ([(row[0], START, *row[2:]) for row in GOOD], "the rate of 200 of them suits no"),
    "one row a second": (rows("A", START + np.arange(10) * 19 * STEP), "the rate of 10 of them suits no"),
}


@pytest.mark.parametrize("defect", REJECTED)
def test_what_cannot_be_put_on_a_clock_is_rejected_with_the_reason(tmp_path: Path, defect: str) -> None:
    written, message = REJECTED[defect]
    good = rows("R", TIMES + 10**12)
    items = one_person(tmp_path, GOOD + good, [*written, *good])
    assert [item.name for item in items if isinstance(item, Recording)] == ["subject 1600, clapping, stretch 1"]
    accel, gyro = (item for item in items if isinstance(item, Rejection))
    assert accel.recording == "subject 1600, walking, accelerometer"
    assert "data_1600_accel_watch.txt: 200 rows of this activity between 90426.708 and 90436.658 s" in accel.reason
    assert gyro.recording.endswith("gyroscope")
    assert message in gyro.reason


def test_a_sensor_without_a_file_is_named(tmp_path: Path) -> None:
    wisdm("watch")(tmp_path)
    (tmp_path / "wisdm-dataset/raw/watch/gyro/data_1601_gyro_watch.txt").unlink()
    items = list(opened(tmp_path, "wisdm_watch", "reject").stream())
    (rejected,) = [item for item in items if isinstance(item, Rejection)]
    assert rejected.recording == "subject 1601"
    assert "data_1601_accel_watch.txt: this person has no file of the gyroscope. Add it." in rejected.reason
    assert len(items) == 3


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="CONTRASTIVE_HAR_DATA names no folder with wisdm")
def test_official_files_of_the_watch(tmp_path: Path) -> None:
    """Of two people, the second with many gaps: what both sensors recorded is kept, one recording per activity."""
    for person in (1600, 1609):
        for sensor in ("accel", "gyro"):
            (path,) = OFFICIAL.rglob(f"data_{person}_{sensor}_watch.txt")
            (tmp_path / path.name).symlink_to(path)
    items = list(opened(tmp_path, "wisdm_watch", "reject").stream())
    recordings = [item for item in items if isinstance(item, Recording)]
    assert len(items) == len(recordings) == 36
    for recording in recordings:
        assert len(recording.samples) / 20 == pytest.approx(179.85, abs=0.2), "three minutes"
        assert recording.mended.get("rows without the other sensor", 0) <= 10
        assert recording.mended.get("samples interpolated", 0) <= 0.05 * len(recording.samples)
        still = np.median(np.linalg.norm(recording.samples[:, :3], axis=1))
        assert 8 < still < 20, "gravity in m/s^2"
    assert {int(recording.activity[0]) for recording in recordings} == set(describe_source("wisdm_watch").activities)
