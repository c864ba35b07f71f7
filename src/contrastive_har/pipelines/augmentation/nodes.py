"""A preview of the methods' input: windows and their augmented views."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from contrastive_har.protocols import ViewsPlan
from contrastive_har.reports.figures import Figure, draw_views
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, Draws, View, first_problem, make_view
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.skeletons import centred
from contrastive_har.signals.windows import Windows


def preview_views(windows: Windows, plan: ViewsPlan, report: ReportSettings) -> Figure:
    """Draw one window of each of several activities, its augmentations, and the views that methods use."""
    classes = windows.classes()
    names = windows.description.class_names[: report.preview_windows]
    rng = np.random.default_rng(plan.seed)
    chosen = [int(rng.choice(np.flatnonzero(classes == index))) for index in range(len(names))]
    drawn = {modality: _views_of(modality, windows, chosen, plan) for modality in windows.layout.modalities}
    return draw_views(drawn, windows.layout, names, windows.description.sampling_rate_hz)


def _views_of(modality: str, windows: Windows, chosen: list[int], plan: ViewsPlan) -> dict[str, NDArray[np.float32]]:
    """Return the chosen windows of a modality by name of the view, for all views that its layout allows."""
    layout = windows.layout.only([modality])
    signals = windows.signals[..., windows.layout.modalities[modality]]
    views: dict[str, View] = {"as recorded": ()}
    views |= {_describe((augmentation,)): (augmentation,) for augmentation in ALL_AUGMENTATIONS}
    views |= {_describe(view): view for view in plan.of_modality(modality) if view not in views.values()}
    allowed = {name: view for name, view in views.items() if first_problem(view, layout) is None}

    if modality in layout.skeletons:
        shown = centred(torch.from_numpy(signals[chosen]), layout.skeletons[modality], layout.joints(modality))
    else:
        normalise = Normalisation.by(plan.normalisation, signals, layout.sensors.values())
        shown = torch.from_numpy(normalise(signals[chosen]))
    seeded = {name: Draws(torch.Generator().manual_seed(plan.seed)) for name in allowed}
    return {name: make_view(shown, view, seeded[name], layout).numpy() for name, view in allowed.items()}


def _describe(view: View) -> str:
    """Return the names of a view's augmentations, with the settings that are not their defaults."""
    parts = []
    for part in view:
        settings = part.model_dump(exclude_defaults=True, exclude={"name"})
        parts.append(" ".join([part.name, *(f"{name} {value}" for name, value in settings.items())]))
    return " + ".join(parts)
