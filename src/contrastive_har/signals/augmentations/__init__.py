"""Augmentations: vectorised tensor operations that turn windows (batch, time, channels) into views of the same shape.

Each augmentation is a settings model, so that configuration, documentation and code share one definition. Unless
stated otherwise, defaults follow Tang et al. 2020 (arXiv 2011.11542), who build on Um et al. 2017 (arXiv 1706.00527),
and random numbers are drawn for each window, with a generator on the windows' device.

To add one: a class in a module of this package, and one line in ``Augmentation`` and in ``ALL_AUGMENTATIONS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from torch import Tensor

from contrastive_har.signals.augmentations.base import BaseAugmentation, Draws
from contrastive_har.signals.augmentations.skeletons import BodyRotation, BodyScaling, JointDropout, LimbDropout, Shear
from contrastive_har.signals.augmentations.time import CropResize, Permutation, Resampling, TimeReversal, TimeWarp
from contrastive_har.signals.augmentations.values import ChannelShuffle, Negation, Noise, Rotation, Scaling
from contrastive_har.signals.sensors import Layout

__all__ = ["ALL_AUGMENTATIONS", "Augmentation", "BaseAugmentation", "Draws", "View", "first_problem", "make_view"]

Augmentation = Annotated[
    Noise
    | Scaling
    | Rotation
    | Negation
    | TimeReversal
    | Permutation
    | TimeWarp
    | ChannelShuffle
    | Resampling
    | CropResize
    | BodyScaling
    | BodyRotation
    | Shear
    | JointDropout
    | LimbDropout,
    Field(discriminator="name"),
]
"""Any augmentation, chosen by its ``name`` in configuration."""

ALL_AUGMENTATIONS: tuple[Augmentation, ...] = (
    Noise(),
    Scaling(),
    Rotation(),
    Negation(),
    TimeReversal(),
    Permutation(),
    TimeWarp(),
    ChannelShuffle(),
    Resampling(),
    CropResize(),
    BodyScaling(),
    BodyRotation(),
    Shear(),
    JointDropout(),
    LimbDropout(),
)
"""Each augmentation with its defaults."""

View = tuple[Augmentation, ...]
"""Augmentations applied one after the other; the empty view is the window as recorded."""


def first_problem(augmentations: Iterable[Augmentation], layout: Layout) -> str | None:
    """Return why one of ``augmentations`` cannot be applied to windows of ``layout``; None if all can."""
    return next(filter(None, (augment.problem(layout) for augment in augmentations)), None)


def make_view(windows: Tensor, view: View, draws: Draws, layout: Layout) -> Tensor:
    """Return ``windows`` (batch, time, channels) after every augmentation of ``view``."""
    for augment in view:
        windows = augment(windows, draws, layout)
    return windows
