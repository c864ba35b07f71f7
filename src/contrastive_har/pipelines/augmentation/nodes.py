"""Windows to views, for people to look at; in training, views are made on the device, batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive_har.learning.methods import Contrastive
from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.reports.figures import draw_views
from contrastive_har.reports.statistics import ReportSettings
from contrastive_har.signals.windows import Windows


def preview_views(windows: Windows, protocol: ProtocolSettings, report: ReportSettings, seed: int) -> Figure:
    """Draw a window of several activities and its views by every augmentation the protocol's methods use."""
    classes = windows.classes()
    names = windows.description.class_names[: report.preview_windows]
    rng = np.random.default_rng(seed)
    chosen = [int(rng.choice(np.flatnonzero(classes == index))) for index in range(len(names))]
    raw = torch.from_numpy(windows.signals[chosen])
    views = {"as recorded": windows.signals[chosen]}
    for method in protocol.methods.values():
        if isinstance(method.pretraining, Contrastive):
            for augmentation in method.pretraining.views:
                if augmentation.name != "identity":
                    views[augmentation.name] = augmentation(raw, torch.Generator().manual_seed(seed)).numpy()
    description = windows.description
    channels = [f"{channel.name} ({channel.unit})" for channel in description.channels]
    return draw_views(views, names, channels, description.sampling_rate_hz)
