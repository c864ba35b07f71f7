"""Charts: functions from tables to interactive figures, as plain data that Plotly's JavaScript draws."""

from __future__ import annotations

from contrastive_har.reports.charts.base import Chart
from contrastive_har.reports.charts.embeddings import chart_embeddings
from contrastive_har.reports.charts.predictions import chart_confusion_matrices
from contrastive_har.reports.charts.scores import chart_answer, chart_label_efficiency, chart_subjects
from contrastive_har.reports.charts.training import chart_histories, chart_training_curves

__all__ = [
    "Chart",
    "chart_answer",
    "chart_confusion_matrices",
    "chart_embeddings",
    "chart_histories",
    "chart_label_efficiency",
    "chart_subjects",
    "chart_training_curves",
]
