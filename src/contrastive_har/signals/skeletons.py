"""Skeletons: modalities whose sensors are the joints of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

PLANE, SPACE = 2, 3  # coordinates of a joint


class Skeleton(BaseModel):
    """What the joints of a modality outline.

    Attributes:
        centre: The joint whose position in the first sample of a window is the origin, and about which augmentations
            turn the body.
        reference: Two joints whose distance in the first sample of a window is the unit of length.
        vertical: Index of the coordinate that points up or down.
        bones: Pairs of neighbouring joints, for pictures.
        limbs: Joints by limb, for augmentations that hide a limb.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: str
    reference: tuple[str, str]
    vertical: Annotated[int, Field(ge=0, lt=SPACE)] = 1
    bones: tuple[tuple[str, str], ...] = ()
    limbs: dict[str, tuple[str, ...]] = {}

    def problem(self, joints: Mapping[str, Sequence[int]]) -> str | None:
        """Return why it does not fit the joints of its modality; None if it does.

        Args:
            joints: Channel indices by joint.
        """
        limbs = [joint for of_limb in self.limbs.values() for joint in of_limb]
        named = {self.centre, *self.reference, *limbs, *(joint for bone in self.bones for joint in bone)}
        if unknown := sorted(named - set(joints)):
            return f"names joints {unknown}; known are {', '.join(joints)}"
        widths = {len(indices) for indices in joints.values()}
        if not widths <= {PLANE} and not widths <= {SPACE}:
            return f"needs {PLANE} or {SPACE} coordinates for each joint; found {sorted(widths)}"
        if self.vertical >= max(widths):
            return f"has the vertical coordinate {self.vertical}, but joints have {max(widths)}"
        if self.reference[0] == self.reference[1]:
            return f"measures lengths by the distance of '{self.reference[0]}' from itself"
        return None


def centred(windows: Tensor, skeleton: Skeleton, joints: Mapping[str, Sequence[int]]) -> Tensor:
    """Return windows of a skeleton (batch, time, channels) with the body at the origin and of a standard size.

    In each window the position of the centre in the first sample becomes the origin, and the distance of the two
    reference joints in the first sample the unit of length, as in the released code of CMC-CMKM. A window in which this
    distance is zero keeps its unit.

    Args:
        windows: Positions of the joints.
        skeleton: Names the centre and the reference joints.
        joints: Channel indices by joint; together they cover the channels.
    """
    first = windows[:, 0]
    centre, (one, other) = joints[skeleton.centre], (joints[name] for name in skeleton.reference)
    origin = first.new_zeros(first.shape)
    for axes in joints.values():
        origin[:, list(axes)] = first[:, list(centre)]
    length = (first[:, list(one)] - first[:, list(other)]).square().sum(1).sqrt()
    unit = torch.where(length > 0, length, torch.ones_like(length))
    return (windows - origin[:, None]) / unit[:, None, None]
