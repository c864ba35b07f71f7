"""Contrastive predictive coding: foresee what the next samples look like to the encoder."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.compute import Compute
from contrastive_har.learning.methods.base import Learner, Objective, Step, full_precision
from contrastive_har.models.conv_gru import ConvGRU
from contrastive_har.models.encoder import Encoder


class PredictiveCoding(Objective):
    """CPC on activity windows (Haresamudram et al. 2021, arXiv 2012.05333).

    Attributes:
        horizon: How many samples ahead are foreseen, each by a linear layer of its own.
    """

    encoders: ClassVar[tuple[str, ...]] = ("conv_gru",)

    objective: Literal["predictive_coding"] = "predictive_coding"
    horizon: int = Field(default=28, gt=0)

    def build(self, encoder: Encoder, shape: tuple[int, int], classes: int) -> Prediction:
        """Return a learner that trains ``encoder``."""
        return Prediction(cast(ConvGRU, encoder), self)

    def problem(self, smallest_batch: int, shape: tuple[int, int], classes: int) -> str | None:
        """Return why windows are too short, if they are."""
        if shape[0] <= self.horizon:
            return f"foresees {self.horizon} samples, but windows have {shape[0]}; lower its horizon or lengthen them"
        return None


class Prediction(Learner):
    """Tells the true future of a window from the futures of the others in the batch.

    Args:
        encoder: What is trained, along with a linear layer for each sample ahead.
        settings: The method's settings.
    """

    def __init__(self, encoder: ConvGRU, settings: PredictiveCoding) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.local, self.context = encoder.local, encoder.context
        self.predict = nn.Linear(encoder.features, settings.horizon * encoder.local_width)

    def loss(self, windows: Tensor, seed: int, compute: Compute) -> Step:
        """Return InfoNCE of ``windows`` (batch, time, channels), averaged over the samples ahead.

        One present, drawn anew for each batch, serves all its windows.
        """
        horizon = self.settings.horizon
        present = seed % (windows.shape[1] - horizon)
        with compute.autocast():
            seen = self.local(windows)
            context = self.context(seen[:, : present + 1])[0][:, -1]
            foreseen = full_precision(self.predict(context)).unflatten(1, (horizon, -1))
        future = compute.gather(full_precision(seen[:, present + 1 : present + 1 + horizon])).transpose(0, 1)
        # (horizon, batch, batch): row i compares the true future of window i with what each window foresaw.
        logits = future @ compute.gather(foreseen).permute(1, 2, 0)
        truth = torch.arange(logits.shape[1], device=logits.device).expand(horizon, -1)
        return Step(functional.cross_entropy(logits.flatten(0, 1), truth.flatten()))
