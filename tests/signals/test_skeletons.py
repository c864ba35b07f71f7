"""Bodies: their origin and unit of length, and augmentations of their joints."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.transform import Rotation as Turn

from contrastive_har.signals.augmentations import (
    Augmentation,
    BodyRotation,
    BodyScaling,
    Draws,
    JointDropout,
    LimbDropout,
    Shear,
)
from contrastive_har.signals.sensors import Channel, Layout
from contrastive_har.signals.skeletons import Skeleton, centred

JOINTS = ("head", "chest", "left_hand", "right_hand", "left_foot", "right_foot")
CENTRE = JOINTS.index("chest")
OTHERS = [index for index in range(len(JOINTS)) if index != CENTRE]
LIMBS = {"arms": ("left_hand", "right_hand"), "legs": ("left_foot", "right_foot", "chest"), "neck": ("head",)}
SKELETON = Skeleton(centre="chest", reference=("head", "chest"), limbs=LIMBS)
LINEAR = (BodyScaling(), BodyRotation(), BodyRotation(axes="vertical"), BodyRotation(step=2), Shear())
EVERY = (*LINEAR, JointDropout(), LimbDropout())


def layout_of(axes: str = "xyz", skeleton: Skeleton = SKELETON, before: int = 0) -> Layout:
    """A skeleton, after some channels of another modality."""
    others = [Channel(name=f"light {index}", unit="lux", sensor=None) for index in range(before)]
    joints = [
        Channel(name=f"{joint}_{axis}", unit="m", sensor=joint, modality="body") for joint in JOINTS for axis in axes
    ]
    return Layout(length=9, channels=(*others, *joints), skeletons={"body": skeleton})


def bodies(batch: int = 40, coordinates: int = 3) -> torch.Tensor:
    """Positions (batch, time, joints, coordinates)."""
    shape = (batch, 9, len(JOINTS), coordinates)
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def augmented(augment: Augmentation, positions: torch.Tensor, seed: int = 0) -> torch.Tensor:
    axes = "xyz"[: positions.shape[3]]
    return augment(positions.flatten(2), draws(seed), layout_of(axes)).view_as(positions)


def about_the_centre(window: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A linear map of one window (time, joints, coordinates), joint by joint."""
    moved = np.empty_like(window)
    for time, frame in enumerate(window):
        for joint, position in enumerate(frame):
            moved[time, joint] = frame[CENTRE] + matrix @ (position - frame[CENTRE])
    return moved


@pytest.mark.parametrize("coordinates", [2, 3])
def test_centred_is_its_definition(coordinates: int) -> None:
    positions = bodies(5, coordinates) * 7 + 100
    joints = layout_of("xyz"[:coordinates]).joints("body")
    result = centred(positions.flatten(2), SKELETON, joints).view_as(positions).numpy()
    for window, mine in zip(positions.numpy(), result, strict=True):
        unit = np.linalg.norm(window[0, JOINTS.index("head")] - window[0, CENTRE])
        np.testing.assert_allclose(mine, (window - window[0, CENTRE]) / unit)
        np.testing.assert_array_equal(mine[0, CENTRE], 0)
        assert np.linalg.norm(mine[0, 0] - mine[0, CENTRE]) == pytest.approx(1)


def test_centred_finds_interleaved_channels_and_does_not_depend_on_place_and_size() -> None:
    positions = bodies(5)
    joints = layout_of().joints("body")
    expected = centred(positions.flatten(2), SKELETON, joints)
    torch.testing.assert_close(centred((positions * 3 - 5).flatten(2), SKELETON, joints), expected)
    by_axis = {joint: tuple(range(index, 18, 6)) for index, joint in enumerate(JOINTS)}
    swapped = centred(positions.transpose(2, 3).flatten(2), SKELETON, by_axis)
    torch.testing.assert_close(swapped.unflatten(2, (3, 6)).transpose(2, 3).flatten(2), expected, rtol=0, atol=0)


def test_bodies_without_a_size_are_not_divided_by_zero() -> None:
    joints = layout_of().joints("body")
    still = torch.full((2, 9, 18), 4.0)
    assert torch.equal(centred(still, SKELETON, joints), torch.zeros(2, 9, 18))
    folded = bodies(5)
    folded[:, 0, JOINTS.index("head")] = folded[:, 0, CENTRE]
    expected = folded - folded[:, :1, CENTRE : CENTRE + 1]
    torch.testing.assert_close(centred(folded.flatten(2), SKELETON, joints), expected.flatten(2))


@pytest.mark.parametrize(
    ("skeleton", "coordinates", "problem"),
    [
        (SKELETON, 3, None),
        (SKELETON, 2, None),
        (SKELETON, 1, r"needs 2 or 3 coordinates for each joint; found \[1\]"),
        (SKELETON, 4, r"needs 2 or 3 coordinates for each joint; found \[4\]"),
        (SKELETON.model_copy(update={"vertical": 2}), 3, None),
        (SKELETON.model_copy(update={"vertical": 2}), 2, "has the vertical coordinate 2, but joints have 2"),
        (SKELETON.model_copy(update={"centre": "hip"}), 3, r"names joints \['hip'\]"),
        (SKELETON.model_copy(update={"bones": (("head", "knee"),)}), 3, r"names joints \['knee'\]"),
        (SKELETON.model_copy(update={"reference": ("head", "head")}), 3, "the distance of 'head' from itself"),
    ],
)
def test_a_skeleton_that_does_not_fit_is_refused(skeleton: Skeleton, coordinates: int, problem: str | None) -> None:
    joints = {joint: list(range(coordinates * index, coordinates * (index + 1))) for index, joint in enumerate(JOINTS)}
    found = skeleton.problem(joints)
    assert found is None if problem is None else re.search(problem, str(found))


def test_joints_of_other_numbers_of_coordinates_are_refused() -> None:
    joints = {joint: [3 * index, 3 * index + 1, 3 * index + 2] for index, joint in enumerate(JOINTS)}
    assert "found [2, 3]" in str(SKELETON.problem({**joints, "head": [0, 1]}))


@pytest.mark.parametrize("coordinates", [2, 3])
def test_body_scaling_is_its_definition(coordinates: int) -> None:
    positions = bodies(coordinates=coordinates)
    factors = 0.7 + 0.5 * draws(4).uniform(positions, coordinates).numpy()
    view = augmented(BodyScaling(), positions, 4).numpy()
    for window, mine, factor in zip(positions.numpy(), view, factors, strict=True):
        np.testing.assert_allclose(mine, about_the_centre(window, np.diag(factor)))
    assert 0.7 < factors.min() < 0.75
    assert 1.15 < factors.max() < 1.2
    torch.testing.assert_close(augmented(BodyScaling(low=1, high=1), positions), positions)


def test_body_rotation_is_its_definition() -> None:
    positions = bodies()
    angles = (2 * draws(4).uniform(positions, 3, 1, 1) - 1).flatten(1).numpy() * 30
    view = augmented(BodyRotation(degrees=30), positions, 4).numpy()
    for window, mine, angle in zip(positions.numpy(), view, angles, strict=True):
        matrix = Turn.from_euler("XYZ", angle, degrees=True).as_matrix()
        np.testing.assert_allclose(mine, about_the_centre(window, matrix), atol=1e-12)
    assert np.abs(angles).max() > 28


def test_body_rotation_in_the_plane_is_its_definition() -> None:
    positions = bodies(coordinates=2)
    angles = (2 * draws(4).uniform(positions, 1, 1, 1) - 1).flatten().numpy() * np.radians(30)
    view = augmented(BodyRotation(degrees=30, axes="vertical"), positions, 4).numpy()
    for window, mine, angle in zip(positions.numpy(), view, angles, strict=True):
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        np.testing.assert_allclose(mine, about_the_centre(window, matrix), atol=1e-12)


@pytest.mark.parametrize("vertical", [0, 1, 2])
def test_rotation_about_the_vertical_axis_keeps_heights_only(vertical: int) -> None:
    skeleton = SKELETON.model_copy(update={"vertical": vertical})
    positions = bodies()
    view = BodyRotation(axes="vertical", degrees=90)(positions.flatten(2), draws(), layout_of(skeleton=skeleton))
    for coordinate in range(3):
        same = torch.isclose(view.view_as(positions)[..., coordinate], positions[..., coordinate])
        assert same[:, :, OTHERS].double().mean() == (1 if coordinate == vertical else pytest.approx(0, abs=0.05))


@pytest.mark.parametrize("augment", [BodyRotation(degrees=180), BodyRotation(axes="vertical"), BodyRotation(step=2)])
@pytest.mark.parametrize("coordinates", [2, 3])
def test_body_rotation_keeps_the_distances_of_joints(augment: BodyRotation, coordinates: int) -> None:
    positions = bodies(coordinates=coordinates)
    view = augmented(augment, positions)
    torch.testing.assert_close(torch.cdist(view, view), torch.cdist(positions, positions))
    assert not torch.allclose(view, positions)


@pytest.mark.parametrize(("step", "degrees", "most"), [(2.0, 10.0, 5), (3.0, 10.0, 3), (0.1, 0.3, 3)])
def test_every_multiple_of_the_step_is_drawn(step: float, degrees: float, most: int) -> None:
    positions = bodies(3000, coordinates=2)
    turned = augmented(BodyRotation(step=step, degrees=degrees), positions) - positions[:, :, [CENTRE]]
    before = (positions - positions[:, :, [CENTRE]])[:, 0, 0]
    angles = torch.atan2(turned[:, 0, 0, 1], turned[:, 0, 0, 0]) - torch.atan2(before[:, 1], before[:, 0])
    steps = ((torch.rad2deg(angles) + 180) % 360 - 180) / step
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-6)
    counts = steps.round().long().add(most).bincount()
    assert len(counts) == 2 * most + 1
    assert counts.min() > 0.7 * 3000 / (2 * most + 1)


@pytest.mark.parametrize("coordinates", [2, 3])
def test_shear_is_its_definition(coordinates: int) -> None:
    positions = bodies(400, coordinates)
    factors = 0.2 * draws(4).normal(positions, coordinates, coordinates).numpy()
    view = augmented(Shear(), positions, 4).numpy()
    drawn = []
    for window, mine, factor in zip(positions.numpy(), view, factors, strict=True):
        matrix = np.eye(coordinates)
        for row in range(coordinates):
            for column in range(coordinates):
                if row != column:
                    matrix[row, column] = factor[row, column]
                    drawn.append(factor[row, column])
        np.testing.assert_allclose(mine, about_the_centre(window, matrix), atol=1e-12)
    assert np.std(drawn) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.2, 1), (0.5, 2), (0.8, 4)])
def test_joint_dropout_hides_so_many_joints_of_the_whole_window(share: float, count: int) -> None:
    positions = bodies(500)
    view = augmented(JointDropout(share=share), positions)
    hidden = (view != positions).any(3)
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    assert (hidden[:, 0].sum(1) == count).all()
    assert not hidden[..., CENTRE].any()
    assert torch.equal(view, torch.where(hidden[..., None], positions[:, :, [CENTRE]], positions))
    shares = hidden[:, 0, OTHERS].double().mean(0)
    assert (shares - count / 5).abs().max() < 0.08, "each joint alike"


def test_limb_dropout_hides_one_limb_of_the_whole_window() -> None:
    positions = bodies(500)
    view = augmented(LimbDropout(), positions)
    hidden = (view != positions).any(3)
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    assert torch.equal(view, torch.where(hidden[..., None], positions[:, :, [CENTRE]], positions))
    counts = dict.fromkeys(LIMBS, 0)
    for window in hidden[:, 0].tolist():
        found = {joint for joint, is_hidden in zip(JOINTS, window, strict=True) if is_hidden}
        counts[next(limb for limb, joints in LIMBS.items() if set(joints) - {"chest"} == found)] += 1
    assert min(counts.values()) > 130


@pytest.mark.parametrize("augment", EVERY, ids=repr)
@pytest.mark.parametrize("coordinates", [2, 3])
def test_the_centre_joint_keeps_its_path(augment: Augmentation, coordinates: int) -> None:
    positions = bodies(coordinates=coordinates)
    view = augmented(augment, positions)
    assert torch.equal(view[:, :, CENTRE], positions[:, :, CENTRE])
    torch.testing.assert_close(augmented(augment, positions + 5), view + 5)


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_joints_are_found_among_other_channels(augment: Augmentation) -> None:
    layout = layout_of(before=2)
    body = bodies(6).flatten(2)
    windows = torch.cat([torch.ones(6, 9, 2, dtype=body.dtype), body], dim=2)
    before = windows.clone()
    view = augment(windows, draws(), layout)
    assert torch.equal(view[..., :2], windows[..., :2])
    assert torch.equal(view[..., 2:], augment(body, draws(), layout_of()))
    assert torch.equal(windows, before)


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_layouts_without_one_skeleton_are_refused(augment: Augmentation) -> None:
    with pytest.raises(ValueError, match=f"{augment.name} needs one skeleton, but found none; apply it to"):
        augment(bodies().flatten(2), draws(), Layout.anonymous(9, 18))
    two = layout_of().model_copy(update={"skeletons": {"body": SKELETON, "other": SKELETON}})
    assert f"{augment.name} needs one skeleton, but found skeletons of body, other" in str(augment.problem(two))
    assert augment.problem(layout_of()) is None


def test_skeletons_without_limbs_cannot_lose_one() -> None:
    layout = layout_of(skeleton=SKELETON.model_copy(update={"limbs": {}}))
    with pytest.raises(ValueError, match="the skeleton of modality 'body' names none; add 'limbs'"):
        LimbDropout()(bodies().flatten(2), draws(), layout)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"'low' is 1.3, above 'high', 1.2; exchange them"):
        BodyScaling(low=1.3)
    with pytest.raises(ValidationError, match="'step' is 11, above 'degrees', 10; choose a smaller step"):
        BodyRotation(step=11)
