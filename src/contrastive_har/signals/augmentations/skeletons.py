"""Augmentations of skeletons: scaled, rotated and sheared bodies, hidden joints and limbs.

Bodies change about the centre joint of each sample, so that the path of the centre joint stays as recorded. Magnitudes
follow CMC-CMKM (arXiv 2205.10071) unless stated otherwise.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from contrastive_har.signals.augmentations.base import BaseAugmentation, Draws, constant
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.skeletons import PLANE, Skeleton

# Rotations by an angle a are I + sin(a) G + (1 - cos(a)) G G, with one of these generators G.
_IN_THE_PLANE = (((0, -1), (1, 0)),)
_ABOUT_AXES = (
    ((0, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 0, 1), (0, 0, 0), (-1, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
)


class JointAugmentation(BaseAugmentation):
    """Base class of augmentations that move the joints of a skeleton; other channels are not changed."""

    def problem(self, layout: Layout) -> str | None:
        """Return why the windows have no joints to be moved; None if they have."""
        if len(layout.skeletons) == 1:
            return None
        found = f"skeletons of {', '.join(layout.skeletons)}" if layout.skeletons else "none"
        return (
            f"{self.name} needs one skeleton, but found {found}; apply it to a modality with a skeleton, declare the "
            "skeleton in the description of the data set, or choose another augmentation"
        )

    def _change(self, windows: Tensor, draws: Draws, layout: Layout) -> Tensor:
        joints, skeleton = _only_skeleton(layout)
        channels = [index for axes in joints.values() for index in axes]
        in_order = channels == list(range(windows.shape[2]))  # no channels need to be gathered
        positions = (windows if in_order else windows[..., channels]).unflatten(2, (len(joints), -1))
        moved = self._move(positions, list(joints), draws, skeleton).flatten(2)
        if in_order:
            return moved
        changed = windows.clone()
        changed[..., channels] = moved
        return changed

    @abstractmethod
    def _move(self, positions: Tensor, joints: list[str], draws: Draws, skeleton: Skeleton) -> Tensor:
        """Return new positions of ``joints`` for ``positions`` (batch, time, joints, coordinates)."""


class LinearMap(JointAugmentation):
    """Base class of linear maps of the body, the same one for all joints and samples of a window."""

    def _move(self, positions: Tensor, joints: list[str], draws: Draws, skeleton: Skeleton) -> Tensor:
        centre = _centre_of(positions, joints, skeleton)
        moved = (positions - centre).flatten(1, 2) @ self._matrices(positions, draws, skeleton).mT
        return moved.view_as(positions) + centre

    @abstractmethod
    def _matrices(self, positions: Tensor, draws: Draws, skeleton: Skeleton) -> Tensor:
        """Draw a matrix (batch, coordinates, coordinates) for each window."""


class BodyScaling(LinearMap):
    """Another height, width and depth of the body: one factor per coordinate.

    Attributes:
        low: Smallest factor; factors are uniform.
        high: Largest factor.
    """

    name: Literal["body_scaling"] = "body_scaling"
    low: float = Field(default=0.7, gt=0)
    high: float = Field(default=1.2, gt=0)

    @model_validator(mode="after")
    def _is_a_range(self) -> BodyScaling:
        if self.low > self.high:
            raise ValueError(f"'low' is {self.low}, above 'high', {self.high}; exchange them")
        return self

    def _matrices(self, positions: Tensor, draws: Draws, skeleton: Skeleton) -> Tensor:
        drawn = draws.uniform(positions, positions.shape[3])
        return torch.diag_embed(self.low + (self.high - self.low) * drawn)


class BodyRotation(LinearMap):
    """The body seen by a camera in another position.

    Attributes:
        axes: ``all``: a rotation about each coordinate axis, the last one first; ``vertical``: about the vertical axis
            only. Bodies of two coordinates are rotated in their plane.
        degrees: Largest angle about an axis; angles are uniform between its negative and itself.
        step: Angles are multiples of this many degrees, 2 in the published training; None for any angle.
    """

    name: Literal["body_rotation"] = "body_rotation"
    axes: Literal["vertical", "all"] = "all"
    degrees: float = Field(default=10.0, gt=0, le=180)
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_angles(self) -> BodyRotation:
        if self.step is not None and self.step > self.degrees:
            raise ValueError(f"'step' is {self.step:g}, above 'degrees', {self.degrees:g}; choose a smaller step")
        return self

    def _matrices(self, positions: Tensor, draws: Draws, skeleton: Skeleton) -> Tensor:
        generators = torch.tensor(self._generators(positions.shape[3], skeleton)).to(positions)
        angles = self._angles(draws.uniform(positions, len(generators), 1, 1))
        turns = torch.eye(positions.shape[3]).to(positions) + angles.sin() * generators
        turns = turns + (1 - angles.cos()) * (generators @ generators)
        turn, *others = turns.unbind(1)
        for other in others:
            turn = turn @ other
        return turn

    def _generators(self, coordinates: int, skeleton: Skeleton) -> tuple[tuple[tuple[int, ...], ...], ...]:
        if coordinates == PLANE:
            return _IN_THE_PLANE
        return _ABOUT_AXES if self.axes == "all" else (_ABOUT_AXES[skeleton.vertical],)

    def _angles(self, drawn: Tensor) -> Tensor:
        """Return angles in radians from numbers uniform in [0, 1)."""
        if self.step is None:
            return (2 * drawn - 1) * math.radians(self.degrees)
        # The tolerance keeps 0.3 the third multiple of 0.1.
        most = math.floor(self.degrees / self.step + 1e-9)
        return ((2 * most + 1) * drawn).floor().sub(most) * math.radians(self.step)


class Shear(LinearMap):
    """A sheared body: each coordinate plus random multiples of the others.

    The published shear is about the origin, which also shears the path of the body, and adds the same multiple of both
    other coordinates.

    Attributes:
        deviation: Standard deviation of the multiples.
    """

    name: Literal["shear"] = "shear"
    deviation: float = Field(default=0.2, gt=0)

    def _matrices(self, positions: Tensor, draws: Draws, skeleton: Skeleton) -> Tensor:
        coordinates = positions.shape[3]
        one = torch.eye(coordinates).to(positions)
        return one + self.deviation * draws.normal(positions, coordinates, coordinates) * (1 - one)


class JointDropout(JointAugmentation):
    """Some joints hidden during the whole window, as if they were occluded.

    A hidden joint takes the position of the centre joint: at the origin it would move against a body that walks.

    Attributes:
        share: Share of the joints that are hidden, at least one; the centre joint never is. Not published.
    """

    name: Literal["joint_dropout"] = "joint_dropout"
    share: float = Field(default=0.2, gt=0, lt=1)

    def _move(self, positions: Tensor, joints: list[str], draws: Draws, skeleton: Skeleton) -> Tensor:
        others = [index for index, joint in enumerate(joints) if joint != skeleton.centre]
        count = max(1, round(self.share * len(others)))
        hidden = torch.zeros(len(positions), len(joints), dtype=torch.bool, device=positions.device)
        hidden[:, others] = draws.uniform(positions, len(others)).argsort(dim=1) < count
        return _hide(positions, hidden, _centre_of(positions, joints, skeleton))


class LimbDropout(JointAugmentation):
    """A random limb hidden during the whole window; its joints take the position of the centre joint."""

    name: Literal["limb_dropout"] = "limb_dropout"

    def problem(self, layout: Layout) -> str | None:
        """Return why no limb can be hidden; None if one can."""
        if problem := super().problem(layout):
            return problem
        ((modality, skeleton),) = layout.skeletons.items()
        if skeleton.limbs:
            return None
        return (
            f"limb_dropout needs limbs, but the skeleton of modality '{modality}' names none; add 'limbs' to it in the "
            "description of the data set, or choose another augmentation"
        )

    def _move(self, positions: Tensor, joints: list[str], draws: Draws, skeleton: Skeleton) -> Tensor:
        belongs = tuple(tuple(joint in limb for joint in joints) for limb in skeleton.limbs.values())
        limb = draws.integers(positions, 0, len(belongs))
        hidden = constant(belongs, positions.device)[limb]
        return _hide(positions, hidden, _centre_of(positions, joints, skeleton))


def _only_skeleton(layout: Layout) -> tuple[dict[str, tuple[int, ...]], Skeleton]:
    """Return the channel indices by joint and the skeleton of a layout with a single one."""
    ((modality, skeleton),) = layout.skeletons.items()
    return layout.joints(modality), skeleton


def _centre_of(positions: Tensor, joints: list[str], skeleton: Skeleton) -> Tensor:
    """Return the positions (batch, time, 1, coordinates) of the centre joint."""
    centre = joints.index(skeleton.centre)
    return positions[:, :, centre : centre + 1]


def _hide(positions: Tensor, hidden: Tensor, centre: Tensor) -> Tensor:
    """Return ``positions`` with the joints that are ``hidden`` (batch, joints) in the position of the centre joint."""
    return torch.where(hidden[:, None, :, None], centre, positions)
