"""Figures: functions from tables to Matplotlib figures, without global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrastive_har.reports.figures.answer import draw_answer
from contrastive_har.reports.figures.calibration import draw_reliability
from contrastive_har.reports.figures.curves import (
    draw_budgets,
    draw_cluster_agreement,
    draw_label_efficiency,
    draw_loss_curves,
    draw_training_curves,
)
from contrastive_har.reports.figures.embeddings import draw_embeddings
from contrastive_har.reports.figures.predictions import draw_confusion, draw_confusion_matrices, draw_one_confusion
from contrastive_har.reports.figures.signals import draw_views
from contrastive_har.reports.figures.spreads import draw_critical_differences, draw_subjects
from contrastive_har.reports.figures.style import COLOURS
from contrastive_har.reports.figures.sweeps import draw_sweep
from contrastive_har.reports.figures.trials import draw_trials
from contrastive_har.reports.figures.tuning import draw_tuning
from contrastive_har.reports.figures.words import draw_word_graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = object  # Kedro looks at the types of nodes, and Matplotlib takes long to import

__all__ = [
    "COLOURS",
    "Figure",
    "draw_answer",
    "draw_budgets",
    "draw_cluster_agreement",
    "draw_confusion",
    "draw_confusion_matrices",
    "draw_critical_differences",
    "draw_embeddings",
    "draw_label_efficiency",
    "draw_loss_curves",
    "draw_one_confusion",
    "draw_reliability",
    "draw_subjects",
    "draw_sweep",
    "draw_training_curves",
    "draw_trials",
    "draw_tuning",
    "draw_views",
    "draw_word_graph",
]
