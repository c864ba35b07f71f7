"""Scores and what they were computed from to figures, and to the charts that show the same in a browser."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contrastive_har.learning.pretraining import PretrainingPlan
from contrastive_har.protocols import ProtocolSettings, evaluation_titles, spells, titles, vocabulary_of
from contrastive_har.refining import plain
from contrastive_har.reports import charts, figures
from contrastive_har.reports.answer import answer, best_rows
from contrastive_har.reports.charts import Chart
from contrastive_har.reports.figures import Figure
from contrastive_har.reports.maps import place_windows
from contrastive_har.reports.words import common_words, neighbours
from contrastive_har.scores.cells import by_cell
from contrastive_har.scores.selection import last_epoch
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.words import telling_words
from contrastive_har.signals.windows import Windows


def draw_budgets(summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against pre-training epochs and batch size, of the methods that differ in nothing else."""
    plans = {name: protocol.pretraining_plan(name, 0) for name, row in protocol.methods.items() if row.objective.trains}
    alike = ([name for name, other in plans.items() if _is_alike(plan, other)] for plan in plans.values())

    def differing(names: Sequence[str]) -> int:
        return len({(plans[name].budget.epochs, plans[name].budget.batch_size) for name in names})

    budgets = {name: plans[name].budget for name in max(alike, key=differing, default=[])}
    few = summary[(summary["metric"] == "macro_f1") & (summary["label_budget"] == protocol.fewest_labels.name)]
    rows = few[few["method"].isin(list(budgets))].assign(
        epochs=lambda table: [budgets[name].epochs for name in table["method"]],
        batch_size=lambda table: [budgets[name].batch_size for name in table["method"]],
    )
    return figures.draw_budgets(rows, evaluation_titles(protocol, rows), titles(protocol.splits))


def _is_alike(plan: PretrainingPlan, other: PretrainingPlan) -> bool:
    return plan.objective == other.objective and plan.backbone == other.backbone


def draw_answer(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    windows: Windows,
    protocol: ProtocolSettings,
    report: ReportSettings,
) -> tuple[Figure, Chart]:
    """Draw the best evaluation of each method with the fewest labels on all splits."""
    facts = answer(summary, comparisons, plain(protocol), windows.class_count, 1 - report.confidence)
    rows, methods = best_rows(summary, facts.budget), titles(protocol.methods)
    splits = {name: title for name, title in titles(protocol.splits).items() if name in set(rows["split"])}
    return (
        figures.draw_answer(rows, facts.split, methods, splits),
        charts.chart_answer(rows, facts.split, methods, evaluation_titles(protocol, rows), splits),
    )


def draw_label_efficiency(summary: pd.DataFrame, protocol: ProtocolSettings) -> tuple[Figure, Chart]:
    """Draw macro-F1 against the labels."""
    named = titles(protocol.methods), evaluation_titles(protocol, summary), titles(protocol.splits)
    return figures.draw_label_efficiency(summary, *named), charts.chart_label_efficiency(summary, *named)


def draw_losses(protocol: ProtocolSettings, **histories: pd.DataFrame) -> tuple[Figure, Chart]:
    """Draw loss curves; histories by artifact name."""
    drawn = by_cell(histories, "history"), titles(protocol.methods), titles(protocol.splits)
    return figures.draw_loss_curves(*drawn), charts.chart_histories(*drawn, "loss", "training loss")


def draw_cluster_agreement(protocol: ProtocolSettings, **histories: pd.DataFrame) -> tuple[Figure, Chart]:
    """Draw the clusters' agreement with the activities; histories by artifact name."""
    drawn = by_cell(histories, "history"), titles(protocol.methods), titles(protocol.splits)
    chart = charts.chart_histories(*drawn, "cluster_nmi", "normalised mutual information")
    return figures.draw_cluster_agreement(*drawn), chart


def draw_training_curves(protocol: ProtocolSettings, **curves: pd.DataFrame) -> tuple[Figure, Chart]:
    """Draw the learning curves of a split; curves by method."""
    methods, evaluations = titles(protocol.methods), evaluation_titles(protocol, *curves.values())
    return (
        figures.draw_training_curves(curves, protocol.fewest_labels.name, methods, evaluations),
        charts.chart_training_curves(curves, methods, evaluations),
    )


def draw_confusion_matrices(
    windows: Windows, protocol: ProtocolSettings, **predictions: pd.DataFrame
) -> tuple[Figure, Chart]:
    """Draw a split's confusion matrices with the fewest labels; predictions by method.

    Where names are spelled, activities that share words are near one another.
    """
    few, classes = protocol.fewest_labels.name, windows.description.class_names
    named = titles(protocol.methods), evaluation_titles(protocol, *predictions.values()), classes
    order = neighbours(vocabulary_of(protocol, classes)) if spells(protocol) else range(len(classes))
    return (
        figures.draw_confusion_matrices(predictions, few, *named, order),
        charts.chart_confusion_matrices(predictions, *named, order),
    )


def draw_subjects(protocol: ProtocolSettings, **scores: pd.DataFrame) -> tuple[Figure, Chart]:
    """Draw the scores of a split's test subjects with the fewest labels; scores by method."""
    methods, evaluations = titles(protocol.methods), evaluation_titles(protocol, *scores.values())
    drawn = pd.concat(scores.values()), protocol.fewest_labels.name, methods, evaluations
    return figures.draw_subjects(*drawn), charts.chart_subjects(*drawn)


def draw_critical_differences(
    protocol: ProtocolSettings, report: ReportSettings, *, split: str, **scores: pd.DataFrame
) -> Figure:
    """Draw the mean ranks of a split's methods and their critical difference; scores by method."""
    methods, evaluations = titles(protocol.methods), evaluation_titles(protocol, *scores.values())
    return figures.draw_critical_differences(
        pd.concat(scores.values()), split, methods, evaluations, 1 - report.confidence
    )


def draw_embedding_map(
    windows: Windows, protocol: ProtocolSettings, report: ReportSettings, **embeddings: pd.DataFrame
) -> tuple[Figure, Chart]:
    """Draw t-SNE maps of a split's test windows, coloured by word where names are spelled; embeddings by method.

    Single modalities are shown of the method that all others are compared with, and of the one that trains each alone.
    """
    # Untrained encoders have equal embeddings: one map of them is enough.
    maps: dict[str, pd.DataFrame] = {}
    for method, table in embeddings.items():
        if not any(table.equals(other) for other in maps.values()):
            maps[method] = table
    in_parts = (protocol.compared_with, protocol.trained_apart)
    shown = {name: table if name in in_parts else table[table["modality"] == ""] for name, table in maps.items()}
    methods, classes = titles(protocol.methods), windows.description.class_names
    words = common_words(vocabulary_of(protocol, classes)) if spells(protocol) else None
    placed = place_windows(shown, report)
    return (
        figures.draw_embeddings(placed, methods, classes, words),
        charts.chart_embeddings(placed, methods, classes, windows.table["subject"]),
    )


def draw_sweep(summary: pd.DataFrame, protocol: ProtocolSettings, *, split: str, **histories: pd.DataFrame) -> Figure:
    """Draw a split's scores against the setting of the sweep; histories by method."""
    rows = summary[summary["split"] == split]
    last = pd.concat([last_epoch(history).assign(method=method) for method, history in histories.items()])
    titled = evaluation_titles(protocol, rows)
    return figures.draw_sweep(rows, last, protocol.swept(), titled, str(protocol.sweep).rpartition(".")[2])


def draw_reliability(calibration: pd.DataFrame) -> Figure:
    """Draw how often the recogniser of all modalities is right on test windows, without and with its temperature."""
    return figures.draw_reliability(calibration)


def draw_word_graph(windows: Windows, protocol: ProtocolSettings) -> Figure:
    """Draw the activities and the words of their names."""
    classes = windows.description.class_names
    vocabulary = vocabulary_of(protocol, classes)
    names, order = telling_words(vocabulary), neighbours(vocabulary)
    return figures.draw_word_graph([classes[index] for index in order], [names[index] for index in order])
