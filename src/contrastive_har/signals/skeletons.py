"""Skeletons: modalities whose sensors are the joints of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from contrastive_har.strict import StrictModel

if TYPE_CHECKING:
    from torch import Tensor

PLANE, SPACE = 2, 3  # coordinates of a joint


class Skeleton(StrictModel):
    """What the joints of a modality outline.

    Attributes:
        centre: The joint whose position in the first sample of a window is the origin, and about which augmentations
            turn the body.
        reference: Two joints whose distance in the first sample of a window is the unit of length.
        vertical: Index of the coordinate that points up or down.
        upward: Whether that coordinate grows upwards; in images it grows downwards. For pictures.
        bones: Pairs of neighbouring joints, for pictures.
        limbs: Joints by limb, for augmentations that hide a limb.
    """

    centre: str
    reference: tuple[str, str]
    vertical: Annotated[int, Field(ge=0, lt=SPACE)] = 1
    upward: bool = True
    bones: tuple[tuple[str, str], ...] = ()
    limbs: dict[str, tuple[str, ...]] = Field(default_factory=dict)

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
    """Return bodies with one origin and one unit of length.

    In each window, the origin is the position of the centre joint in the first sample, and the unit of length is the
    distance of the reference joints in the first sample; bodies whose reference joints coincide keep their size.

    Args:
        windows: (batch, time, channels) of the modality with the skeleton.
        skeleton: The skeleton.
        joints: Channel indices by joint; each channel belongs to a joint.
    """
    first = windows[:, :1]
    one, other = (first[..., list(joints[joint])] for joint in skeleton.reference)
    unit = (one - other).norm(dim=2, keepdim=True)
    coordinate = {channel: index for channels in joints.values() for index, channel in enumerate(channels)}
    centre = joints[skeleton.centre]
    origin = first[..., [centre[coordinate[channel]] for channel in range(windows.shape[2])]]
    moved: Tensor = (windows - origin) / unit.where(unit > 0, 1)
    return moved
