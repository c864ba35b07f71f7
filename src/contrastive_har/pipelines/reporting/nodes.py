"""Scores to statistics, figures, tracked runs and the report."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.protocols import ProtocolSettings, titles
from contrastive_har.learning.trained_encoders import EncoderSet
from contrastive_har.reports import comparisons, figures, statistics
from contrastive_har.reports.report import ReportFacts, render_html, render_markdown
from contrastive_har.reports.scores import CELL
from contrastive_har.reports.statistics import ReportSettings
from contrastive_har.reports.tracked import TrackedRun, describe_cell
from contrastive_har.signals.windows import Windows


def summarise_scores(scores: pd.DataFrame, report: ReportSettings) -> pd.DataFrame:
    """Return mean, spread, interval, published number and difference of every cell."""
    return statistics.summarise(scores, statistics.read_published(), report)


def draw_budgets(summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against pre-training epochs and batch size, where methods differ in them."""
    budgets = {name: protocol.budget_of(name) for name in protocol.methods if protocol.methods[name].pretraining.trains}
    few = summary[(summary["metric"] == "macro_f1") & (summary["label_fraction"] == protocol.fewest_labels)]
    rows = few[few["method"].isin(list(budgets))].assign(
        epochs=lambda table: [budgets[name].epochs for name in table["method"]],
        batch_size=lambda table: [budgets[name].batch_size for name in table["method"]],
    )
    return figures.draw_budgets(rows, titles(protocol.evaluations), titles(protocol.splits))


def compare_methods(scores: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings) -> pd.DataFrame:
    """Test the differences between one method and all others, paired by repeat."""
    return comparisons.compare(scores, protocol.compared_with, report)


def draw_label_efficiency(summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against the share of labels."""
    return figures.draw_label_efficiency(
        summary, titles(protocol.methods), titles(protocol.evaluations), titles(protocol.splits)
    )


def draw_histories(protocol: ProtocolSettings, **histories: pd.DataFrame) -> tuple[Figure, Figure]:
    """Draw loss curves and the clusters' agreement with the activities; histories by ``split.method``."""
    methods, splits = titles(protocol.methods), titles(protocol.splits)
    return (
        figures.draw_loss_curves(histories, methods, splits),
        figures.draw_cluster_agreement(histories, methods, splits),
    )


def draw_confusion_matrices(windows: Windows, protocol: ProtocolSettings, **predictions: pd.DataFrame) -> Figure:
    """Draw a split's confusion matrices at the fewest labels; predictions by method."""
    few = protocol.fewest_labels
    methods, evaluations = titles(protocol.methods), titles(protocol.evaluations)
    return figures.draw_confusion_matrices(predictions, few, methods, evaluations, windows.description.class_names)


def draw_subjects(protocol: ProtocolSettings, **scores: pd.DataFrame) -> Figure:
    """Draw the scores of a split's test subjects at the fewest labels; scores by method."""
    few = protocol.fewest_labels
    methods, evaluations = titles(protocol.methods), titles(protocol.evaluations)
    return figures.draw_subjects(pd.concat(scores.values()), few, methods, evaluations)


def draw_critical_differences(
    protocol: ProtocolSettings, report: ReportSettings, *, split: str, **scores: pd.DataFrame
) -> Figure:
    """Draw the mean ranks of a split's methods, and which differ; scores by method."""
    methods, evaluations = titles(protocol.methods), titles(protocol.evaluations)
    return figures.draw_critical_differences(
        pd.concat(scores.values()), split, methods, evaluations, 1 - report.confidence
    )


def draw_embedding_map(
    windows: Windows, protocol: ProtocolSettings, report: ReportSettings, **embeddings: pd.DataFrame
) -> Figure:
    """Draw t-SNE maps of a split's test windows; embeddings by method."""
    # Untrained encoders look alike: one of them is enough.
    maps: dict[str, pd.DataFrame] = {}
    for method, table in embeddings.items():
        if not any(table.equals(other) for other in maps.values()):
            maps[method] = table
    return figures.draw_embeddings(maps, titles(protocol.methods), windows.description.class_names, report)


def describe_runs(
    windows: Windows,
    encoders: EncoderSet,
    history: pd.DataFrame,
    predictions: pd.DataFrame,
    learning_curves: pd.DataFrame,
    scores: pd.DataFrame,
    protocol: ProtocolSettings,
    compute: ComputeSettings,
    seed: int,
    *,
    split: str,
    method: str,
) -> list[TrackedRun]:
    """Describe one run per evaluation and label fraction of a method on a split, for the tracking server."""
    runs = []
    for values, mine in scores.groupby(CELL, sort=False):
        cell = dict(zip(CELL, values, strict=True))
        evaluation, fraction = cell["evaluation"], cell["label_fraction"]

        def of_cell(table: pd.DataFrame, evaluation: str = evaluation, fraction: float = fraction) -> pd.DataFrame:
            return table[(table["evaluation"] == evaluation) & (table["label_fraction"] == fraction)]

        settings = protocol.evaluations[evaluation]
        labels = next(one for one in protocol.label_fractions if one.share == fraction)
        parameters = {
            "seed": seed,
            "compute": str(compute.resolve()),
            "labels": labels.model_copy(update={"batch_size": settings.batch_size_for(labels)}).model_dump(),
            **protocol.of_cell(split, method, windows.description.name),
            "evaluation": settings.model_dump(mode="json", exclude={"batch_size"}),
        }
        runs.append(
            describe_cell(
                cell=cell,
                scores=mine,
                predictions=of_cell(predictions),
                curves=of_cell(learning_curves),
                history=history,
                parameters=parameters,
                classes=windows.description.class_names,
                digest=encoders.fingerprint,
                source=windows.description.url,
                # Fractions for some evaluations only serve the curve of label efficiency: many, and alike.
                in_full=labels.evaluations is None,
            )
        )
    return runs


def gather_runs(*described: list[TrackedRun]) -> list[TrackedRun]:
    """Put the runs of all splits and methods into one list."""
    return [run for runs in described for run in runs]


def gather_facts(
    windows: Windows,
    recordings_summary: pd.DataFrame,
    leakage: dict[str, Any],
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    compared: pd.DataFrame,
    protocol: ProtocolSettings,
    report: ReportSettings,
    compute: ComputeSettings,
    seed: int,
    **histories: pd.DataFrame,
) -> ReportFacts:
    """Put together everything the report says; histories by ``split.method``.

    Raises:
        ValueError: if the stored results were made with other settings than those the report would state.
    """
    for name, history in histories.items():
        epochs = set(history.groupby("repeat")["epoch"].max())
        if not epochs <= {protocol.budget_of(name.partition(".")[2]).epochs}:
            raise _stale(f"the encoders of {name} had {epochs} epochs", protocol)
    if scores.groupby(["split", "method"])["repeat"].nunique().ne(protocol.repeats).any():
        raise _stale("the scores have another number of repeats", protocol)
    shares = {fraction.share for fraction in protocol.label_fractions}
    if (set(scores["label_fraction"]) ^ shares) - {1.0}:  # without held-out people, all labels leave nothing to test on
        raise _stale("the scores have other label fractions", protocol)
    return ReportFacts(
        description=windows.description,
        windows=len(windows.table),
        subjects=windows.table["subject"].nunique(),
        recordings_summary=recordings_summary,
        leakage=leakage,
        scores=scores,
        summary=summary,
        findings=list(
            comparisons.findings(
                compared,
                titles(protocol.methods),
                titles(protocol.evaluations),
                titles(protocol.splits),
                1 - report.confidence,
            )
        ),
        protocol={
            **protocol.model_dump(mode="json"),
            "windows": protocol.windows_for(windows.description.name).model_dump(mode="json"),
        },
        seed=seed,
        confidence=report.confidence,
        device=str(compute.resolve()),
        seconds={name: float(history["seconds"].sum()) for name, history in histories.items()},
    )


def write_html(facts: ReportFacts, **pictures: bytes) -> str:
    """Write the report as one self-contained page."""
    return render_html(facts, pictures)


def write_markdown(facts: ReportFacts) -> str:
    """Write the report's summary."""
    return render_markdown(facts)


def list_metrics(summary: pd.DataFrame) -> dict[str, float]:
    """Return mean macro-F1 by ``split.method.evaluation.fraction``, small enough to look at in kedro-viz."""
    rows = summary[summary["metric"] == "macro_f1"].itertuples(index=False)
    return {f"{row.split}.{row.method}.{row.evaluation}.{row.label_fraction:g}": float(row.mean) for row in rows}


def _stale(what: str, protocol: ProtocolSettings) -> ValueError:
    return ValueError(
        f"Stored results do not belong to these settings ({protocol.repeats} repeats, {protocol.pretraining.epochs} "
        f"epochs): {what}. Report with the --env and --params of the run that made them, or run the whole protocol "
        "again."
    )
