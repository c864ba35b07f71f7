"""Skeletons as stick figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contrastive_har.reports.figures.style import COLOURS
from contrastive_har.signals.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.typing import ColorType

_FRAMES = 5  # stick figures per window
_TRUNK = "#444444"  # bones outside limbs
_NARROWEST = 0.4  # distance of two stick figures in heights: five of them fill a panel


class StickFigures:
    """Draws windows of joints as a few stick figures side by side, seen from the front.

    Each is moved sideways so that its centre joint stands above the sample it shows.

    Args:
        skeleton: The skeleton.
        joints: Channel indices by joint.
        windows: All windows (windows, time, channels) that will be drawn; they share one scale.
    """

    def __init__(
        self, skeleton: Skeleton, joints: Mapping[str, Sequence[int]], windows: Iterable[NDArray[np.float32]]
    ) -> None:
        self._skeleton = skeleton
        self._joints = joints
        frames = [self._frames(window) for several in windows for window in several]
        self._height = 1.05 * max(float(np.ptp(window[..., 1])) for window in frames)
        # Wide figures may overlap: with room for outstretched arms, all of them would be small.
        width = np.quantile([np.ptp(window[..., 0], axis=1) for window in frames], 0.75)
        self._spacing = max(float(width), _NARROWEST * self._height)

    def draw(self, axis: Axes, window: NDArray[np.float32], rate: float) -> None:
        """Draw a window (time, channels) of ``rate`` samples per second."""
        frames = self._frames(window)
        offsets = np.arange(len(frames)) * self._spacing
        frames[..., 0] += offsets[:, None]
        if not self._skeleton.bones:
            axis.plot(*frames.reshape(-1, 2).T, ".", markersize=3, color=_TRUNK)
        names = list(self._joints)
        for bone in self._skeleton.bones:
            ends = frames[:, [names.index(joint) for joint in bone]]
            axis.plot(*ends.transpose(2, 1, 0), linewidth=1.2, color=self._colour(bone), solid_capstyle="round")
        axis.set_aspect("equal")
        axis.set_xlim(offsets[0] - self._spacing / 2, offsets[-1] + self._spacing / 2)
        middle = (frames[..., 1].min() + frames[..., 1].max()) / 2
        axis.set_ylim(middle - self._height / 2, middle + self._height / 2)
        axis.set_xticks(offsets, [f"{sample / rate:.1f}" for sample in _samples(len(window))])
        axis.set_yticks([])
        axis.spines[["left", "right", "top"]].set_visible(False)

    def legend(self) -> list[Line2D]:
        """Return a line of each limb's colour, labelled with its name."""
        from matplotlib.lines import Line2D  # slow to import

        return [
            Line2D([], [], color=COLOURS[index % len(COLOURS)], label=limb)
            for index, limb in enumerate(self._skeleton.limbs)
        ]

    def _frames(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the positions (frames, joints, 2) to the side of the centre joint, and upwards."""
        up = self._skeleton.vertical
        axes = np.array(list(self._joints.values()))[:, [1 if up == 0 else 0, up]]
        frames = window[_samples(len(window))][:, axes]
        frames[..., 0] -= frames[:, [list(self._joints).index(self._skeleton.centre)], 0]
        if not self._skeleton.upward:
            frames[..., 1] *= -1
        return frames

    def _colour(self, bone: tuple[str, str]) -> ColorType:
        for index, limb in enumerate(self._skeleton.limbs.values()):
            if set(bone) <= set(limb):
                colour: ColorType = COLOURS[index % len(COLOURS)]
                return colour
        return _TRUNK


def _samples(length: int) -> NDArray[np.int64]:
    """Return the samples that are drawn of a window of ``length`` samples."""
    return np.linspace(0, length - 1, _FRAMES).round().astype(np.int64)
