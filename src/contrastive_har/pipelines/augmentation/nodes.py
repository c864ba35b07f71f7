"""Windows to views, for people to look at; in training, views are made on the device, batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive_har.learning.protocols import ProtocolSettings
from contrastive_har.reports.figures import draw_views
from contrastive_har.reports.statistics import ReportSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Draws, View, make_view
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.windows import Windows


def preview_views(windows: Windows, protocol: ProtocolSettings, report: ReportSettings, seed: int) -> Figure:
    """Draw a window of several activities, every augmentation of it, and the views that methods combine."""
    classes = windows.classes()
    names = windows.description.class_names[: report.preview_windows]
    rng = np.random.default_rng(seed)
    chosen = [int(rng.choice(np.flatnonzero(classes == index))) for index in range(len(names))]
    normalisation = Normalisation.of(windows.signals)
    normalised = torch.from_numpy(normalisation(windows.signals[chosen]))
    views: dict[str, View] = {"as recorded": ()}
    for augmentation in ALL_AUGMENTATIONS:
        if not augmentation.problem(normalised.shape[2]):
            views[_describe((augmentation,))] = (augmentation,)
    for method in protocol.methods.values():
        for view in getattr(method.pretraining, "views", ()):
            if view and view not in views.values():
                views[_describe(view)] = view
    drawn = {
        name: normalisation.undo(make_view(normalised, view, Draws(torch.Generator().manual_seed(seed))).numpy())
        for name, view in views.items()
    }
    channels = [f"{channel.name} ({channel.unit})" for channel in windows.description.channels]
    return draw_views(drawn, names, channels, windows.description.sampling_rate_hz)


def _describe(view: View) -> str:
    """Return the names of a view's augmentations, with the settings that are not their defaults."""
    parts = []
    for part in view:
        settings = part.model_dump(exclude_defaults=True, exclude={"name"})
        parts.append(" ".join([part.name, *(f"{name} {value}" for name, value in settings.items())]))
    return " + ".join(parts)
