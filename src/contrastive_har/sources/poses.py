"""Positions of the joints of one person in a clip, from JSON files with the poses of all people in each frame.

MMAct's poses are made by openpifpaf. Its publishers document the joints' numbers but not what surrounds them, so
several forms are read. A clip maps names of frames to frames, or lists frames. A frame maps names of people to poses
(``person1``, ``person2``), or lists poses, also under ``predictions``. A pose is a list of x, y and confidence of 17
joints in COCO's order, or has such ``keypoints``; an empty list is nobody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive_har.files.stamps import explain
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.archive import Member
from contrastive_har.sources.clocks import are_storable, interpolate

JOINTS = 17
_NUMBERS = 3  # x, y and confidence

_Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_poses(member: Member) -> _Arrays:
    """Read the positions of one person's joints.

    Where a frame holds several people, the second is taken, as in the published results on MMAct (Brinzea, Khaertdinov,
    Asteriadis 2022). A joint at (0, 0) has not been found. In frames without it, its position is interpolated linearly
    from the frames around; a joint that no frame has lies in the mean of the others.

    Returns:
        Ascending numbers of the frames (frames,), and x and y of each joint in pixels (frames, 2 * joints).

    Raises:
        BadRecordingError: if the file is no such JSON file, or shows nobody.
    """
    content = member.read()
    try:
        frames = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRecordingError(f"{member.where}: not a JSON file ({explain(error)}). Copy it again.") from error
    if not isinstance(frames, dict | list) or not frames:
        raise BadRecordingError(f"{member.where}: no frames. The file is incomplete; copy it again.")
    named = frames if isinstance(frames, dict) else {str(number): frame for number, frame in enumerate(frames)}
    joints = np.full((len(named), JOINTS, 2), np.nan)
    for row, (name, frame) in enumerate(named.items()):
        people = list(_people(frame))
        if people:
            joints[row] = _positions(people[1] if len(people) > 1 else people[0], f"{member.where}, frame {name}")
    seen = np.asarray(np.isfinite(joints).all(axis=2) & (joints != 0).any(axis=2), np.bool_)
    if not seen.any():
        raise BadRecordingError(f"{member.where}: nobody in any frame. Leave this clip out.")
    numbers = _numbers(list(named))
    order = np.argsort(numbers)
    return numbers[order], _fill(numbers[order], joints[order], seen[order]).reshape(len(joints), -1)


def _numbers(names: list[str]) -> NDArray[np.float64]:
    """Return the numbers in the names of frames, or 0, 1, ... if they are not numbered."""
    found = [re.search(r"(\d{1,9})\D*$", name) for name in names]
    numbers = [int(match[1]) for match in found if match]
    if len(set(numbers)) < len(names):
        return np.arange(len(names), dtype=np.float64)
    return np.array(numbers, np.float64)


def _people(frame: Any) -> Iterator[list[Any]]:
    """Yield the numbers of each person in a frame."""
    if isinstance(frame, dict) and "predictions" in frame:
        frame = frame["predictions"]
    if isinstance(frame, dict):
        frame = [frame[name] for name in sorted(frame, key=lambda name: (len(name), name))]
    for person in frame or ():
        numbers = person["keypoints"] if isinstance(person, dict) else person
        if numbers:
            yield numbers


def _positions(person: list[Any], where: str) -> NDArray[np.float64]:
    try:
        numbers = np.array(person, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise BadRecordingError(f"{where}: not numbers ({explain(error)}). Copy the file again.") from error
    if not are_storable(numbers).all():
        raise BadRecordingError(f"{where}: values that are not finite. Copy the file again.")
    if len(numbers) != JOINTS * _NUMBERS:
        raise BadRecordingError(
            f"{where}: {len(numbers)} numbers instead of {JOINTS * _NUMBERS} for a person. Copy the file again."
        )
    return numbers.reshape(JOINTS, _NUMBERS)[:, :2]


def _fill(numbers: NDArray[np.float64], joints: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill in the positions (frames, joints, 2) that are not ``seen`` (frames, joints)."""
    found = seen.any(axis=0)
    filled = joints.copy()
    for joint in np.flatnonzero(found):
        rows = seen[:, joint]
        filled[:, joint] = interpolate(numbers, numbers[rows], joints[rows, joint])
    filled[:, ~found] = filled[:, found].mean(axis=1, keepdims=True)
    return filled
