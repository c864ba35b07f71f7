"""A preview of the methods' input: windows and their augmented views."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive_har.protocols import ViewsPlan
from contrastive_har.reports.figures import draw_views
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Draws, View, first_problem, make_view
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.windows import Windows


def preview_views(windows: Windows, plan: ViewsPlan, report: ReportSettings) -> Figure:
    """Draw one window of each of several activities, its augmentations, and the views that methods use."""
    classes = windows.classes()
    names = windows.description.class_names[: report.preview_windows]
    rng = np.random.default_rng(plan.seed)
    chosen = [int(rng.choice(np.flatnonzero(classes == index))) for index in range(len(names))]
    normalisation = Normalisation.of(windows.signals)
    normalised = torch.from_numpy(normalisation(windows.signals[chosen]))
    views: dict[str, View] = {"as recorded": ()}
    for augmentation in ALL_AUGMENTATIONS:
        if not augmentation.problem(windows.layout):
            views[_describe((augmentation,))] = (augmentation,)
    for view in dict.fromkeys(view for of_modality in plan.views.values() for view in of_modality):
        if view not in views.values() and not first_problem(view, windows.layout):
            views[_describe(view)] = view
    drawn = {}
    for name, view in views.items():
        draws = Draws(torch.Generator().manual_seed(plan.seed))
        drawn[name] = normalisation.undo(make_view(normalised, view, draws, windows.layout).numpy())
    channels = [f"{channel.name} ({channel.unit})" for channel in windows.description.channels]
    return draw_views(drawn, names, channels, windows.description.sampling_rate_hz)


def _describe(view: View) -> str:
    """Return the names of a view's augmentations, with the settings that are not their defaults."""
    parts = []
    for part in view:
        settings = part.model_dump(exclude_defaults=True, exclude={"name"})
        parts.append(" ".join([part.name, *(f"{name} {value}" for name, value in settings.items())]))
    return " + ".join(parts)
