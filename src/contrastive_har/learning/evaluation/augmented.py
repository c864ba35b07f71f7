"""Augmented copies of labelled windows, from which heads learn too."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from contrastive_har.models.backbone import Backbone
from contrastive_har.signals.augmentations import Augmentation, Draws, make_view
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.strict import StrictModel

_BLOCK = 1024
"""Windows that are augmented together, so that a copy does not depend on which other windows are learned from."""


class AugmentedCopies(StrictModel):
    """Copies of the windows that a head learns from, which are augmented once and then learned from like windows.

    Copies are windows of the same label, of which each counts as much as the window: together they count as much as
    the window without copies. With self-training, windows that the head labels have copies as well. Copies are numbered
    after all windows: copy k = 1, 2, ... of window i has number ``i + k * windows``.

    Attributes:
        view: Augmentations of the normalised window, one after the other. Skeletons are then centred and scaled again.
        copies: Number of copies of each window.
    """

    view: Annotated[tuple[Augmentation, ...], Field(min_length=1)]
    copies: int = Field(default=2, gt=0)

    def with_copies(self, members: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
        """Return the numbers of windows, followed by those of their first copies, their second ones, and so on.

        Args:
            members: Numbers of the windows.
            windows: Number of all windows.
        """
        return np.concatenate([members + copy * windows for copy in range(self.copies + 1)])

    def extend(
        self, signals: NDArray[np.float32], members: NDArray[np.int64], backbone: Backbone, seed: int
    ) -> NDArray[np.float32]:
        """Return all windows, followed by all copies; copies of windows other than ``members`` may be undefined.

        Args:
            signals: All windows (windows, time, channels), raw.
            members: Numbers of the windows that are learned from.
            backbone: The backbone that normalises them, on the CPU.
            seed: Seed of the augmentations.
        """
        extended = np.empty((len(signals) * (self.copies + 1), *signals.shape[1:]), np.float32)
        extended[: len(signals)] = signals
        for block in np.unique(members // _BLOCK).tolist():
            begin, end = block * _BLOCK, min((block + 1) * _BLOCK, len(signals))
            normalised = backbone.normalise(torch.from_numpy(signals[begin:end]))
            draws = Draws(torch.Generator().manual_seed(derive_seed(seed, block)))
            for copy in range(1, self.copies + 1):
                view = make_view(normalised, self.view, draws, backbone.layout)
                raw = view * backbone.deviation + backbone.mean
                extended[begin + copy * len(signals) : end + copy * len(signals)] = raw.numpy()
        return extended
