"""Heads that are fitted to the embeddings of labelled windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive_har.models.heads import Head, HeadSettings
from contrastive_har.signals.seeds import seeded


@dataclass(frozen=True)
class LabelledHead:
    """A head for embeddings.

    Attributes:
        settings: The head; one that is fitted.
        widths: Width of the embeddings of each modality.
        class_names: Names of the class indices.
        fitted: The head after it was fitted; None before.
    """

    settings: HeadSettings
    widths: Sequence[int]
    class_names: Sequence[str]
    fitted: Head | None = None

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def fit(self, embeddings: Tensor, targets: NDArray[np.int64], seed: int) -> LabelledHead:
        """Return a head fitted to labelled ``embeddings`` (windows, features) with class indices ``targets``."""
        with seeded(seed):
            head = self.settings.build_for(self.widths, self.class_names)
            head.fit(embeddings, torch.from_numpy(targets))
        return replace(self, fitted=head)

    def __call__(self, embeddings: Tensor) -> NDArray[np.float32]:
        """Return probabilities (windows, classes) of ``embeddings`` (windows, features).

        Raises:
            ValueError: if it has not been fitted.
        """
        if self.fitted is None:
            raise ValueError("the head has not been fitted; label some windows first")
        with torch.no_grad():
            probabilities: NDArray[np.float32] = self.fitted(embeddings).softmax(1).numpy()
        return probabilities
