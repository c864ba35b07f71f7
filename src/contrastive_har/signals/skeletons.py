"""Skeletons: modalities whose sensors are the joints of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
