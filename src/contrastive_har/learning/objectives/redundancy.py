"""VICReg: projections of two views agree, vary over windows, and have features that do not repeat one another."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from contrastive_har.learning.objectives.base import Step, StepResult
from contrastive_har.learning.objectives.two_views import TwoViews, outputs
from contrastive_har.learning.objectives.views import ViewsSettings
from contrastive_har.models.encoders import Encoder
from contrastive_har.signals.sensors import Layout

_SMALLEST_VARIANCE = 1e-4


class VICRegSettings(ViewsSettings):
    """Variance, invariance, covariance (Bardes et al. 2021, arXiv 2105.04906); defaults are the published factors.

    Attributes:
        invariance: Factor of the squared distances of the two views.
        variance: Factor of what the features' standard deviations lack to 1.
        covariance: Factor of the squared covariances of different features.
    """

    name: Literal["vicreg"] = "vicreg"
    projection: tuple[int, ...] = Field(default=(256, 256, 256), min_length=1)
    projection_batch_norm: bool = True
    invariance: float = Field(default=25.0, ge=0)
    variance: float = Field(default=25.0, ge=0)
    covariance: float = Field(default=1.0, ge=0)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> VICReg:
        """Return the objective that trains ``encoder``."""
        return VICReg(encoder, self, layout)


class VICReg(TwoViews):
    """Needs neither negatives nor a second encoder: collapse has a high loss.

    Args:
        encoder: The encoder to train, along with a projection head.
        settings: Views, projection head and factors.
        layout: Layout of a window.
    """

    def __init__(self, encoder: Encoder, settings: VICRegSettings, layout: Layout) -> None:
        super().__init__(encoder, settings, layout)
        self.settings = settings

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the loss of ``windows`` (batch, time, channels), from projections that are not normalised.

        As in the paper's algorithm 1: squared distances are averaged over features, where eq. 5 sums them. The released
        code takes half of the variance term.
        """
        views = [outputs(self.embed_and_project, view, step) for view in self.make_views(windows, step)]
        settings = self.settings
        loss = settings.invariance * functional.mse_loss(views[0], views[1])
        for view in views:
            loss = loss + settings.variance * _lacking_deviation(view) + settings.covariance * _covariance(view)
        return StepResult(loss, projections=functional.normalize(torch.stack(views).detach(), dim=2))


def _lacking_deviation(view: Tensor) -> Tensor:
    """Return what the standard deviations of ``view`` (batch, features) lack to 1, on average (eq. 1 and 2)."""
    return functional.relu(1 - (view.var(0) + _SMALLEST_VARIANCE).sqrt()).mean()


def _covariance(view: Tensor) -> Tensor:
    """Return the sum of the squared covariances of different features, divided by their number (eq. 3 and 4)."""
    centred = view - view.mean(0)
    covariance = centred.T @ centred / (len(view) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / view.shape[1]
