"""Contrastive predictive coding: predict the encoder's features of the next samples."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import BaseObjectiveSettings, Objective, Step, StepResult, full_precision
from contrastive_har.models.encoders import Encoder
from contrastive_har.models.encoders.conv_gru import ConvGRU
from contrastive_har.signals.sensors import Layout


class PredictiveCodingSettings(BaseObjectiveSettings):
    """CPC on activity windows (Haresamudram et al. 2021, arXiv 2012.05333).

    Attributes:
        horizon: Number of samples ahead that are predicted, each by a separate linear layer.
    """

    suits: ClassVar[tuple[str, ...]] = ("conv_gru",)

    name: Literal["predictive_coding"] = "predictive_coding"
    horizon: int = Field(default=28, gt=0)

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> PredictiveCoding:
        """Return the objective that trains ``encoder``."""
        return PredictiveCoding(cast(ConvGRU, encoder), self)

    def problem(self, smallest_batch: int, layout: Layout, classes: int) -> str | None:
        """Return why windows are too short; None if they are not."""
        if layout.length <= self.horizon:
            return (
                f"predicts {self.horizon} samples, but windows have {layout.length}; lower its horizon or lengthen them"
            )
        return None


class PredictiveCoding(Objective):
    """Distinguishes the future of a window from the futures of the other windows in the batch.

    Args:
        encoder: The encoder to train, along with a linear layer for each sample ahead.
        settings: Horizon of the predictions.
    """

    def __init__(self, encoder: ConvGRU, settings: PredictiveCodingSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.local, self.context = encoder.local, encoder.context
        self.predict = nn.Linear(encoder.features, settings.horizon * encoder.local_width)

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return InfoNCE of ``windows`` (batch, time, channels), averaged over the samples ahead.

        Predictions start from one random sample per batch, the same for all its windows.
        """
        horizon = self.settings.horizon
        compute = step.compute
        present = step.seed % (windows.shape[1] - horizon)
        with compute.autocast():
            features = self.local(windows)
            context = self.context(features[:, : present + 1])[0][:, -1]
            predicted = full_precision(self.predict(context)).unflatten(1, (horizon, -1))
        future = compute.gather(full_precision(features[:, present + 1 : present + 1 + horizon])).transpose(0, 1)
        # (horizon, batch, batch): row i compares the true future of window i with what each window predicted.
        logits = future @ compute.gather(predicted).permute(1, 2, 0)
        targets = torch.arange(logits.shape[1], device=logits.device).expand(horizon, -1)
        return StepResult(functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
