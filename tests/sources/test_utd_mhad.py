"""UTD-MHAD, from small files in the exact official layout; and from all official files, where there are any."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from contrastive_har.signals.recordings import BadRecordingError, Recording, Rejection
from contrastive_har.sources import describe_source
from contrastive_har.sources.clocks import interpolate, nearest, stretch
from tests.sources.test_official_files import opened

OFFICIAL = Path(os.environ.get("CONTRASTIVE_HAR_DATA", "no folder")) / "utd_mhad"
CLIPS = [(activity, subject, trial) for activity in (1, 2, 27) for subject in (1, 2) for trial in (1, 2)]


def utd_mhad(folder: Path, clips: list[tuple[int, int, int]] = CLIPS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the official folders of .mat files; return inertial samples and skeletons by recording."""
    rng = np.random.default_rng(0)
    arrays = {}
    for modality in ("Inertial", "Skeleton"):
        (folder / modality).mkdir(parents=True)
    (folder / "Skeleton" / "Skeleton_joint_order.txt").write_text("1. head;\n")
    for activity, subject, trial in clips:
        inertial, skeleton = rng.standard_normal((60, 6)), rng.standard_normal((20, 3, 23))
        name = f"a{activity}_s{subject}_t{trial}"
        savemat(folder / "Inertial" / f"{name}_inertial.mat", {"d_iner": inertial})
        savemat(folder / "Skeleton" / f"{name}_skeleton.mat", {"d_skel": skeleton})
        arrays[f"activity {activity}, subject {subject}, trial {trial}"] = inertial, skeleton
    return arrays


def literal(skeleton: np.ndarray, length: int) -> np.ndarray:
    """Return the coordinates (length, 60) joint by joint, each at the point of the clip where the sample is."""
    frames = skeleton.shape[2]
    result = np.empty((length, 60))
    for row in range(length):
        position = row * (frames - 1) / (length - 1)
        before = min(int(position), frames - 2)
        share = position - before
        for joint in range(20):
            for axis in range(3):
                left, right = skeleton[joint, axis, before : before + 2]
                result[row, 3 * joint + axis] = (1 - share) * left + share * right
    return result


def zip_both(folder: Path) -> None:
    for modality in ("Inertial", "Skeleton"):
        with zipfile.ZipFile(folder / f"{modality}.zip", "w") as archive:
            for path in sorted((folder / modality).iterdir()):
                archive.write(path, path.relative_to(folder))
                path.unlink()
        (folder / modality).rmdir()


@pytest.mark.parametrize("as_archives", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_both_modalities_are_put_on_the_inertial_clock(tmp_path: Path, as_archives: bool, nested: bool) -> None:
    arrays = utd_mhad(tmp_path / "UTD-MHAD" / "data" if nested else tmp_path)
    if as_archives:
        zip_both(tmp_path / "UTD-MHAD" / "data" if nested else tmp_path)
    recordings = {recording.name: recording for recording in opened(tmp_path, "utd_mhad")}
    assert list(recordings) == list(arrays), "in the order of the numbers"
    for name, (inertial, skeleton) in arrays.items():
        expected = np.hstack([inertial, literal(skeleton, len(inertial))])
        np.testing.assert_allclose(recordings[name].samples, expected, rtol=1e-5, atol=1e-6)
    last: Recording = recordings["activity 27, subject 2, trial 1"]
    assert (last.subject, set(last.activity.tolist())) == ("2", {27})


def test_first_and_last_skeletons_are_at_the_ends(tmp_path: Path) -> None:
    arrays = utd_mhad(tmp_path, [(1, 1, 1)])
    (recording,) = opened(tmp_path, "utd_mhad")
    ((_, skeleton),) = arrays.values()
    layout = describe_source("utd_mhad").layout(1)
    for row, frame in ((0, 0), (-1, -1)):
        for index, axes in enumerate(layout.joints("skeleton").values()):
            np.testing.assert_allclose(recording.samples[row, list(axes)], skeleton[index, :, frame], rtol=1e-6)


def test_the_published_origin_and_unit(tmp_path: Path) -> None:
    description = describe_source("utd_mhad")
    joints = list(description.layout(1).joints("skeleton"))
    skeleton = description.skeletons["skeleton"]
    assert len(joints) == 20
    assert joints.index(skeleton.centre) == 2
    assert {joints.index(joint) for joint in skeleton.reference} == {1, 2}
    assert len(skeleton.bones) == len(joints) - 1, "a tree"
    assert {joint for bone in skeleton.bones for joint in bone} == set(joints)


@pytest.mark.parametrize(("kept", "missing"), [("Inertial", "skeleton"), ("Skeleton", "inertial")])
def test_a_clip_of_one_modality_is_left_out_by_name(tmp_path: Path, kept: str, missing: str) -> None:
    arrays = utd_mhad(tmp_path)
    (tmp_path / missing.title() / f"a2_s1_t1_{missing}.mat").unlink()
    items = list(opened(tmp_path, "utd_mhad", "reject").stream())
    (rejected,) = [item for item in items if isinstance(item, Rejection)]
    assert rejected.recording == "activity 2, subject 1, trial 1"
    assert str(tmp_path / kept / f"a2_s1_t1_{kept.lower()}.mat") in rejected.reason
    assert f"no {missing} file of this clip. Add a2_s1_t1_{missing}.mat" in rejected.reason
    assert len(items) == len(arrays)


@pytest.mark.parametrize("missing", ["Inertial", "Skeleton"])
def test_a_missing_modality_says_what_to_download(tmp_path: Path, missing: str) -> None:
    utd_mhad(tmp_path, [(1, 1, 1)])
    for path in (tmp_path / missing).iterdir():
        path.unlink()
    with pytest.raises(BadRecordingError) as raised:
        list(opened(tmp_path, "utd_mhad"))
    assert f"holds no file of UTD-MHAD, {missing.lower()}. Download http" in str(raised.value)
    for archive in ("Inertial.zip", "Skeleton.zip"):
        assert archive in str(raised.value)


BROKEN = [
    ("inertial", {"d_other": np.ones((60, 6))}, "no 'd_iner'"),
    ("inertial", {"d_iner": np.ones((60, 5))}, "'d_iner' is 60 x 5 instead of any x 6"),
    ("inertial", {"d_iner": np.ones((60, 6)) * 1j}, "'d_iner' holds no real numbers"),
    ("inertial", {"d_iner": np.ones((0, 6))}, "no samples"),
    ("inertial", {"d_iner": np.full((60, 6), np.nan)}, "values that are not finite"),
    ("skeleton", {"d_skel": np.full((20, 3, 9), 1e300)}, "values that are not finite"),
    ("skeleton", {"d_iner": np.ones((20, 3, 9))}, "no 'd_skel'"),
    ("skeleton", {"d_skel": np.ones((3, 20, 9))}, "'d_skel' is 3 x 20 x 9 instead of 20 x 3 x any"),
    ("skeleton", {"d_skel": np.ones((20, 3))}, "'d_skel' is 20 x 3 instead of 20 x 3 x any"),
    ("skeleton", {"d_skel": "text"}, "'d_skel' holds no real numbers"),
    ("skeleton", {"d_skel": np.ones((20, 3, 0))}, "no samples"),
]


@pytest.mark.parametrize(("modality", "content", "message"), BROKEN)
def test_a_broken_file_is_named(tmp_path: Path, modality: str, content: dict[str, object], message: str) -> None:
    arrays = utd_mhad(tmp_path)
    broken = tmp_path / modality.title() / f"a1_s2_t2_{modality}.mat"
    savemat(broken, content)
    items = list(opened(tmp_path, "utd_mhad", "reject").stream())
    (rejected,) = [item for item in items if isinstance(item, Rejection)]
    assert message in rejected.reason
    assert str(broken) in rejected.reason
    assert len(items) == len(arrays)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="CONTRASTIVE_HAR_DATA names no folder with utd_mhad")
def test_the_official_files() -> None:
    source = opened(OFFICIAL, "utd_mhad")
    recordings = list(source)
    assert len(recordings) == source.description.files == 861
    assert {recording.subject for recording in recordings} == {str(subject) for subject in range(1, 9)}
    assert {int(recording.activity[0]) for recording in recordings} == set(range(1, 28))
    lengths = [len(recording.samples) for recording in recordings]
    assert (min(lengths), max(lengths)) == (107, 326)
    standing = np.mean([recording.samples[0] for recording in recordings], axis=0)
    layout, skeleton = source.description.layout(1), source.description.skeletons["skeleton"]
    height = {joint: standing[axes[skeleton.vertical]] for joint, axes in layout.joints("skeleton").items()}
    assert height["head"] - height["left_foot"] > 1.2, "metres"
    for left, right in (("left_foot", "left_ankle"), ("left_ankle", "left_knee"), ("spine", "shoulder_centre")):
        assert height[left] < height[right]


def test_interpolation_follows_lines_and_stays_at_the_ends() -> None:
    times = np.array([0.0, 1.0, 4.0])
    values = np.column_stack([2 * times, 1 - times])
    wanted = np.array([-1.0, 0.5, 3.0, 9.0])
    expected = np.column_stack([[0, 1, 6, 8], [1, 0.5, -2, -3]])
    np.testing.assert_allclose(interpolate(wanted, times, values), expected)


def test_stretching_to_the_same_length_changes_nothing() -> None:
    values = np.random.default_rng(0).standard_normal((17, 3))
    np.testing.assert_allclose(stretch(values, 17), values)
    np.testing.assert_allclose(stretch(values, 33)[::2], values)


def test_angles_are_taken_from_the_nearest_sample() -> None:
    times, angles = np.array([0.0, 1.0, 2.0]), np.array([[359.0], [1.0], [3.0]])
    found = nearest(np.array([-1.0, 0.4, 0.6, 1.4, 5.0]), times, angles)
    np.testing.assert_array_equal(found[:, 0], [359, 359, 1, 1, 3])
