"""Settings of objectives that compare views of a window."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from contrastive_har.learning.losses import SMALLEST_TEMPERATURE
from contrastive_har.learning.objectives.base import BaseObjectiveSettings
from contrastive_har.signals.augmentations import View
from contrastive_har.signals.augmentations.time import Resampling

OTHER = "other"
"""Key of the views of all modalities that are not listed."""

Views = Annotated[tuple[View, ...], Field(min_length=1)]

Temperature = Annotated[float, Field(ge=SMALLEST_TEMPERATURE)]
"""Divisor of the similarities of projections."""


class ViewsSettings(BaseObjectiveSettings):
    """Settings shared by objectives that compare views.

    Attributes:
        views: The augmentations that make each view of a window; or by modality, with ``other`` for the rest.
        projection: Widths of the layers of the projection head.
        projection_batch_norm: Whether the hidden layers of the projection head are normalised over the batch.
        neighbours: Strides within which the windows of all views of a modality but the first are drawn, from the same
            recording: what lasts is then told from what passes. 0 makes all views of the same window.
    """

    views: Views | dict[str, Views] = ((Resampling(),), ())
    projection: tuple[int, ...] = Field(default=(96, 96, 96), min_length=1)
    projection_batch_norm: bool = False
    neighbours: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_enough_views(self) -> ViewsSettings:
        if OTHER not in self.by_modality:
            raise ValueError(f"views needs an entry '{OTHER}', for modalities that are not listed")
        for modality, views in self.by_modality.items():
            of_modality = "" if modality == OTHER else f" of modality '{modality}'"
            if problem := self.refused_views(len(views)):
                raise ValueError(f"views{of_modality}: {problem}; found {len(views)}")
            if self.neighbours and len(views) == 1:
                raise ValueError(
                    f"neighbours is {self.neighbours}, but there is a single view{of_modality}; set it to 0"
                )
        return self

    @property
    def strides_between_views(self) -> int:
        """Strides within which the windows of views after the first are drawn; 0 takes the same window."""
        return self.neighbours

    def refused_views(self, count: int) -> str | None:
        """Return why a number of views is refused; None if it is not."""
        return None if count == 2 else "two are compared"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities whose views are listed."""
        return tuple(name for name in self.by_modality if name != OTHER)

    def views_of(self, modality: str) -> tuple[View, ...]:
        """Return the views of a modality."""
        return self.by_modality.get(modality, self.by_modality[OTHER])

    @property
    def by_modality(self) -> dict[str, Views]:
        """The views of each modality that is listed, and of all others by ``other``."""
        return self.views if isinstance(self.views, dict) else {OTHER: self.views}
