"""MMAct, from small files in the layout of its publishers."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastive_har.signals.recordings import BadRecordingError, Recording, Rejection
from contrastive_har.sources import describe_source
from contrastive_har.sources.archive import Member
from contrastive_har.sources.poses import read_poses
from tests.sources.test_official_files import opened

RATES = {"acc_phone_clip": 100, "acc_watch_clip": 100, "gyro_clip": 50, "orientation_clip": 50}
START = pd.Timestamp("2018-10-16 13:33:45.170")
CLIPS = [
    (subject, scene, session, activity)
    for subject in (1, 12)
    for scene, session in ((1, 1), (2, 5))
    for activity in ("carrying", "waving_hand")
]
POSES = "pose/cross_view/trainval/subject{subject}/cam1/scene{scene}/session{session}"
Signal = Callable[[np.ndarray], np.ndarray]


def stamps(seconds: np.ndarray) -> list[str]:
    """Write times as the publishers do, without a fraction in whole seconds."""
    times = [(START + pd.Timedelta(seconds=second)).round("ms") for second in seconds]
    texts = [time.strftime("%Y%m%d_%H:%M:%S.%f")[:-3] for time in times]
    return [text.removesuffix(".000") for text in texts]


def person(joints: np.ndarray) -> list[float]:
    """Return the numbers of a person whose joints are at ``joints`` (17, 2)."""
    return np.hstack([joints, np.ones((17, 1))]).ravel().tolist()


def put_sensor(folder: Path, sensor: str, clip: tuple[int, int, int, str], table: pd.DataFrame, **how: Any) -> Path:
    subject, scene, session, activity = clip
    path = folder / sensor / f"subject{subject}/scene{scene}/session{session}" / f"{activity}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, **{"header": False, **how})
    return path


def put_poses(folder: Path, clip: tuple[int, int, int, str], frames: Any, layout: str = POSES) -> Path:
    subject, scene, session, activity = clip
    path = folder / layout.format(subject=subject, scene=scene, session=session) / f"{activity}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(frames))
    return path


def table(seconds: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"time": stamps(seconds), "x": values[:, 0], "y": values[:, 1], "z": values[:, 2]})


def put_clip(folder: Path, clip: tuple[int, int, int, str], seed: int = 0) -> None:
    """Write one clip of two seconds with random samples."""
    rng = np.random.default_rng(seed)
    for sensor, rate in RATES.items():
        seconds = np.arange(2 * rate + 1) / rate
        put_sensor(folder, sensor, clip, table(seconds, rng.standard_normal((len(seconds), 3))))
    joints = rng.uniform(100, 900, (61, 17, 2))
    put_poses(folder, clip, {str(frame): {"person1": person(joints[frame])} for frame in range(61)})


def mmact(folder: Path) -> None:
    """Write the official folders of sensors, and those of poses."""
    for seed, clip in enumerate(CLIPS):
        put_clip(folder, clip, seed)


def put_ramps(folder: Path, offsets: dict[str, float], stamped: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write one clip whose sensors and poses grow with the time, in 1/s; sensors start at ``offsets``."""
    clip = (1, 1, 1, "walking")
    for sensor, rate in RATES.items():
        seconds = offsets.get(sensor, 0.0) + np.arange(3 * rate + 1) / rate
        values = np.column_stack([seconds, 2 * seconds, 3 * seconds])
        put_sensor(folder, sensor, clip, stamped(table(seconds, values)))
    joints = np.arange(1.0, 35).reshape(17, 2)
    put_poses(folder, clip, {f"frame_{f:04d}": {"person1": person(joints * (1 + f / 90))} for f in range(91)})


def rejected(folder: Path) -> Rejection:
    items = list(opened(folder, "mmact", "reject").stream())
    (found,) = [item for item in items if isinstance(item, Rejection)]
    assert len(items) == len(CLIPS)
    return found


def test_the_description() -> None:
    description = describe_source("mmact")
    layout = description.layout(1)
    assert {name: part.stop - part.start for name, part in layout.modalities.items()} == {
        "inertial": 12,
        "skeleton": 34,
    }
    assert list(layout.joints("inertial")) == ["acc_phone", "acc_watch", "gyro_phone", "orientation_phone"]
    assert len(description.activities) == 35
    assert description.groups == ("scene", "session")
    assert {joint for bone in description.skeletons["skeleton"].bones for joint in bone} == set(
        layout.joints("skeleton")
    )


def test_every_clip_with_its_groups(tmp_path: Path) -> None:
    mmact(tmp_path)
    recordings = list(opened(tmp_path, "mmact"))
    names = describe_source("mmact").activities
    found = [
        (int(r.subject), int(r.groups["scene"]), int(r.groups["session"]), names[int(r.activity[0])].replace(" ", "_"))
        for r in recordings
    ]
    assert found == sorted(CLIPS)
    assert {recording.samples.shape for recording in recordings} == {(101, 46)}


@pytest.mark.parametrize(
    "layout",
    [
        "cam1/subject{subject}/scene{scene}/session{session}",
        "trimmed/pose/cross_scene/trainval/cam1/subject{subject}/scene{scene}/session{session}",
        "pose/subject{subject}/scene{scene}/session{session}/cam1",
        "pose/subject{subject}/scene{scene}/cam1/session{session}",
    ],
)
def test_the_folder_of_the_camera_may_be_anywhere(tmp_path: Path, layout: str) -> None:
    mmact(tmp_path)
    before = [recording.samples for recording in opened(tmp_path, "mmact")]
    for clip in CLIPS:
        subject, scene, session, activity = clip
        path = tmp_path / POSES.format(subject=subject, scene=scene, session=session) / f"{activity}.json"
        put_poses(tmp_path, clip, json.loads(path.read_text()), layout)
        put_poses(tmp_path, clip, {"0": {"person1": person(np.ones((17, 2)))}}, layout.replace("cam1", "cam11"))
        path.unlink()
    for samples, recording in zip(before, opened(tmp_path, "mmact"), strict=True):
        np.testing.assert_array_equal(recording.samples, samples)


def test_names_are_compared_without_capitals(tmp_path: Path) -> None:
    put_clip(tmp_path, (1, 1, 1, "carrying_light"))
    watch = tmp_path / "acc_watch_clip/subject1/scene1/session1/carrying_light.csv"
    watch.rename(watch.with_name("Carrying light.csv"))
    (recording,) = opened(tmp_path, "mmact")
    assert recording.name == "subject 1, scene 1, session 1, carrying light"


def test_a_header_is_passed_over(tmp_path: Path) -> None:
    mmact(tmp_path)
    before = next(iter(opened(tmp_path, "mmact"))).samples
    path = tmp_path / "orientation_clip/subject1/scene1/session1/carrying.csv"
    path.write_text("time,azimuth,pitch,roll\n" + path.read_text())
    np.testing.assert_array_equal(next(iter(opened(tmp_path, "mmact"))).samples, before)


def test_time_stamps_put_the_sensors_on_one_clock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sensors that start at different times are cropped to what all have; the poses span all of them."""
    caplog.set_level(logging.INFO)
    put_ramps(tmp_path, {"acc_watch_clip": 0.25, "gyro_clip": 0.1}, lambda table: table)
    (recording,) = opened(tmp_path, "mmact")
    clock = 0.25 + np.arange(138) / 50  # 2.75 seconds
    assert len(recording.samples) == len(clock)
    inside = slice(20, -20)  # filters are padded at the ends
    for part, tolerance in ((slice(0, 6), 2e-3), (slice(6, 9), 1e-5), (slice(9, 12), 0.031)):  # angles are not blended
        width = part.stop - part.start
        expected = np.tile(np.outer(clock, [1, 2, 3]), width // 3)
        np.testing.assert_allclose(recording.samples[inside, part], expected[inside], atol=tolerance)
    growth = 1 + clock / 3.25
    np.testing.assert_allclose(recording.samples[:, 12:], np.outer(growth, np.arange(1, 35)), rtol=1e-5)
    assert "put together by length" not in caplog.text


def forget(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time="1539664425170")


def reverse(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time=table["time"].to_numpy()[::-1])


def tear(table: pd.DataFrame) -> pd.DataFrame:
    half = len(table) // 2
    return table.assign(time=[*table["time"][:half], *stamps(np.linspace(7, 8, len(table) - half))])


def hurry(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time=stamps(np.linspace(0, 1, len(table))))


@pytest.mark.parametrize("stamped", [forget, reverse, tear, hurry])
def test_without_usable_stamps_the_clip_s_length_decides(
    tmp_path: Path, stamped: Callable[[pd.DataFrame], pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put_ramps(tmp_path, {}, stamped)
    (recording,) = opened(tmp_path, "mmact")
    clock = np.arange(151) / 50
    assert len(recording.samples) == 151
    np.testing.assert_allclose(recording.samples[:, 6:12], np.tile(np.outer(clock, [1, 2, 3]), 2), atol=1e-5)
    np.testing.assert_allclose(recording.samples[20:-20, :3], np.outer(clock, [1, 2, 3])[20:-20], atol=2e-3)
    assert "walking.json: the sensors' times cannot be used" in caplog.text


def test_stamps_that_do_not_overlap_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    put_ramps(tmp_path, {"acc_watch_clip": 2.0}, lambda table: table)
    (recording,) = opened(tmp_path, "mmact")
    assert len(recording.samples) == 151
    assert "put together by length" in caplog.text


def test_frequencies_that_the_clock_cannot_represent_are_filtered_out(tmp_path: Path) -> None:
    clip = (1, 1, 1, "walking")
    put_clip(tmp_path, clip)
    seconds = np.arange(201) / 100
    for frequency, left in ((5, 1.0), (40, 0.0)):
        wave = np.sin(2 * np.pi * frequency * seconds)
        put_sensor(tmp_path, "acc_phone_clip", clip, table(seconds, np.column_stack([wave] * 3)))
        (recording,) = opened(tmp_path, "mmact")
        assert np.abs(recording.samples[25:-25, 0]).max() == pytest.approx(left, abs=0.06)


def test_angles_do_not_pass_the_opposite_direction(tmp_path: Path) -> None:
    clip = (1, 1, 1, "walking")
    put_clip(tmp_path, clip)
    seconds = np.arange(101) / 50 + 0.003
    angles = np.where(np.arange(101) % 2, 359.0, 1.0)[:, None] * np.ones(3)
    put_sensor(tmp_path, "orientation_clip", clip, table(seconds, angles))
    (recording,) = opened(tmp_path, "mmact")
    assert set(np.unique(recording.samples[:, 9:12])) == {1.0, 359.0}


@pytest.mark.parametrize("missing", [*RATES, "pose"])
def test_a_clip_that_lacks_a_file_is_left_out(tmp_path: Path, missing: str) -> None:
    mmact(tmp_path)
    next(path for path in (tmp_path / missing).rglob("waving_hand.*") if "subject1" in path.parts).unlink()
    found = rejected(tmp_path)
    assert "waving hand" in found.recording
    assert f"no file of {missing}" in found.reason
    assert str(tmp_path) in found.reason


def test_missing_poses_say_what_to_request(tmp_path: Path) -> None:
    put_clip(tmp_path, (1, 1, 1, "walking"))
    (camera,) = tmp_path.rglob("cam1")
    camera.rename(camera.with_name("cam2"))
    with pytest.raises(BadRecordingError) as raised:
        list(opened(tmp_path, "mmact"))
    message = str(raised.value)
    assert f"{tmp_path} holds no file of MMAct (trimmed), poses of camera 1. Request the trimmed data" in message
    assert "https://mmact19.github.io/2019/" in message
    assert "acc_watch_clip" in message


BROKEN = [
    ("", "not a table"),
    ("a,b\n", "2 columns instead of 4"),
    ("t,1,2,3\nt,1,oops,3\n", "row 2: 'oops' is not a finite number"),
    ("t,1,2,3\nt,1,,3\n", "row 2: 'nan' is not a finite number"),
    ("t,1,2,3\nt,1,2,1e300\n", "row 2: '1e300' is not a finite number"),
    ("t,1,2,3\nt,1,2,inf\n", "row 2: 'inf' is not a finite number"),
    ("time,x,y,z\nt,1,2,3\nt,1,oops,3\n", "row 3: 'oops' is not a finite number"),
    ("time,x,y,z\n", "fewer than two samples"),
    ("t,1,2,3\n", "fewer than two samples"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_a_broken_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    mmact(tmp_path)
    broken = tmp_path / "gyro_clip/subject12/scene2/session5/carrying.csv"
    broken.write_text(content)
    reason = rejected(tmp_path).reason
    assert str(broken) in reason
    assert message in reason


def test_an_unknown_activity(tmp_path: Path) -> None:
    put_clip(tmp_path, (1, 1, 1, "flying"))
    with pytest.raises(BadRecordingError, match=r"flying\.csv: unknown activity 'flying'"):
        list(opened(tmp_path, "mmact"))


JOINTS = np.random.default_rng(0).uniform(100, 900, (5, 17, 2))
FORMS: dict[str, Callable[[list[list[float]]], Any]] = {
    "people by name": lambda people: {str(i): {"person1": p, "person2": []} for i, p in enumerate(people)},
    "numbered files": lambda people: {f"frame_{i}.png": {"person1": p} for i, p in enumerate(people)},
    "out of order": lambda people: dict(reversed([(f"{i}", {"person1": p}) for i, p in enumerate(people)])),
    "without numbers": lambda people: {"abcde"[i]: {"person1": p} for i, p in enumerate(people)},
    "predictions": lambda people: [{"predictions": [{"keypoints": p, "score": 1.0}]} for p in people],
    "lists of people": lambda people: [[{"keypoints": p}] for p in people],
    "triples": lambda people: [[np.reshape(p, (17, 3)).tolist()] for p in people],
}


def read(folder: Path, frames: Any) -> tuple[np.ndarray, np.ndarray]:
    path = folder / "clip.json"
    path.write_text(json.dumps(frames))
    return read_poses(Member(path, (), ()))


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_poses(tmp_path: Path, form: str) -> None:
    numbers, joints = read(tmp_path, FORMS[form]([person(frame) for frame in JOINTS]))
    np.testing.assert_array_equal(numbers, np.arange(5))
    np.testing.assert_allclose(joints, JOINTS.reshape(5, 34))


@pytest.mark.parametrize("by_name", [False, True])
def test_the_second_of_several_people_is_taken(tmp_path: Path, by_name: bool) -> None:
    people = [person(frame) for frame in JOINTS]
    frames: Any = [people, people[:2], people[1:2], [people[3], people[1], people[4]]]
    if by_name:
        frames = [{f"person{i}": p for i, p in enumerate(found, 1)} for found in frames]
    _, joints = read(tmp_path, frames)
    np.testing.assert_allclose(joints, np.tile(JOINTS[1].ravel(), (4, 1)))


def test_frames_without_a_person_are_interpolated(tmp_path: Path) -> None:
    zeros = [0.0] * 51
    frames = {
        "0": {},
        "2": {"person1": person(JOINTS[0])},
        "3": {"person1": [], "person2": []},
        "5": {"person1": zeros},
        "6": {"person1": person(JOINTS[1])},
        "9": None,
    }
    numbers, joints = read(tmp_path, frames)
    np.testing.assert_array_equal(numbers, [0, 2, 3, 5, 6, 9])
    first, last = JOINTS[0].ravel(), JOINTS[1].ravel()
    expected = [first, first, 0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last, last, last]
    np.testing.assert_allclose(joints, expected)


def test_joints_that_were_not_found(tmp_path: Path) -> None:
    """One is missing in one frame, another in all frames."""
    poses = JOINTS[:3].copy()
    poses[1, 4] = poses[:, 9] = 0
    _, joints = read(tmp_path, [[person(frame)] for frame in poses])
    found = joints.reshape(3, 17, 2)
    np.testing.assert_allclose(found[1, 4], (JOINTS[0, 4] + JOINTS[2, 4]) / 2)
    np.testing.assert_allclose(found[:, 9], np.delete(found, 9, axis=1).mean(axis=1))
    others = np.delete(np.arange(17), [4, 9])
    np.testing.assert_allclose(found[:, others], JOINTS[:3, others])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        (5, "no frames"),
        ([[], {}, {"person1": []}], "nobody in any frame"),
        ([[[0.0] * 51]], "nobody in any frame"),
        ([[[1.0] * 50]], "frame 0: 50 numbers instead of 51"),
        ({"7": [["a"] * 51]}, "frame 7: not numbers"),
        ([[[None] * 51]], "frame 0: values that are not finite"),
        ([[[float("inf")] * 51]], "frame 0: values that are not finite"),
    ],
)
def test_unusable_poses(tmp_path: Path, frames: Any, message: str) -> None:
    with pytest.raises(BadRecordingError, match=message) as raised:
        read(tmp_path, frames)
    assert str(tmp_path / "clip.json") in str(raised.value)


def test_a_clip_without_a_person_is_left_out(tmp_path: Path) -> None:
    mmact(tmp_path)
    empty = put_poses(tmp_path, CLIPS[0], {"0": {"person1": []}})
    assert rejected(tmp_path).reason.startswith(f"{empty}: nobody")
    broken = put_poses(tmp_path, CLIPS[0], {})
    broken.write_text('{"0": ')
    assert rejected(tmp_path).reason.startswith(f"{broken}: not a JSON file")


def test_an_archive_of_poses_is_read_in_place(tmp_path: Path) -> None:
    mmact(tmp_path)
    before = {recording.name: recording.samples for recording in opened(tmp_path, "mmact")}
    shutil.make_archive(str(tmp_path / "trimmed_pose"), "zip", tmp_path, "pose")
    shutil.rmtree(tmp_path / "pose")
    after: list[Recording] = list(opened(tmp_path, "mmact"))
    assert len(after) == len(before)
    for recording in after:
        np.testing.assert_array_equal(recording.samples, before[recording.name])
