"""Scores to statistics, figures, tracked runs and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.protocols import ProtocolSettings, evaluation_titles, refinements, titles
from contrastive_har.reports import contributions, figures, findings
from contrastive_har.reports.report import ReportFacts, render_html, render_markdown
from contrastive_har.reports.tracked import CellResults, TrackedRun, describe_row, trackable
from contrastive_har.scores import comparisons, statistics
from contrastive_har.scores.cells import Cell, parse_evaluation
from contrastive_har.scores.selection import select
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.windows import Windows


def summarise_scores(scores: pd.DataFrame, report: ReportSettings) -> pd.DataFrame:
    """Return mean, spread, interval, published number and difference of every cell."""
    return statistics.summarise(scores, statistics.read_published(), report)


def draw_budgets(summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against pre-training epochs and batch size, where methods differ in them."""
    budgets = {name: row.budget for name, row in protocol.methods.items() if row.objective.trains}
    few = summary[(summary["metric"] == "macro_f1") & (summary["label_budget"] == protocol.fewest_labels.name)]
    rows = few[few["method"].isin(list(budgets))].assign(
        epochs=lambda table: [budgets[name].epochs for name in table["method"]],
        batch_size=lambda table: [budgets[name].batch_size for name in table["method"]],
    )
    return figures.draw_budgets(rows, evaluation_titles(protocol, rows), titles(protocol.splits))


def compare_methods(scores: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings) -> pd.DataFrame:
    """Test the differences between one method and all others, paired by repeat."""
    return comparisons.compare(scores, protocol.compared_with, report)


def draw_label_efficiency(summary: pd.DataFrame, protocol: ProtocolSettings) -> Figure:
    """Draw macro-F1 against the labels."""
    return figures.draw_label_efficiency(
        summary, titles(protocol.methods), evaluation_titles(protocol, summary), titles(protocol.splits)
    )


def draw_histories(protocol: ProtocolSettings, **histories: pd.DataFrame) -> tuple[Figure, Figure]:
    """Draw loss curves and the clusters' agreement with the activities; histories by artifact name."""
    methods, splits, of_cells = titles(protocol.methods), titles(protocol.splits), dict(_by_cell(histories))
    return (
        figures.draw_loss_curves(of_cells, methods, splits),
        figures.draw_cluster_agreement(of_cells, methods, splits),
    )


def draw_confusion_matrices(windows: Windows, protocol: ProtocolSettings, **predictions: pd.DataFrame) -> Figure:
    """Draw a split's confusion matrices with the fewest labels; predictions by method."""
    few = protocol.fewest_labels.name
    methods, evaluations = titles(protocol.methods), evaluation_titles(protocol, *predictions.values())
    return figures.draw_confusion_matrices(predictions, few, methods, evaluations, windows.description.class_names)


def draw_subjects(protocol: ProtocolSettings, **scores: pd.DataFrame) -> Figure:
    """Draw the scores of a split's test subjects with the fewest labels; scores by method."""
    few = protocol.fewest_labels.name
    methods, evaluations = titles(protocol.methods), evaluation_titles(protocol, *scores.values())
    return figures.draw_subjects(pd.concat(scores.values()), few, methods, evaluations)


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
) -> Figure:
    """Draw t-SNE maps of a split's test windows; embeddings by method.

    Single modalities are shown of the method that all others are compared with, and of the one that trains each alone.
    """
    # Untrained encoders have equal embeddings: one map of them is enough.
    maps: dict[str, pd.DataFrame] = {}
    for method, table in embeddings.items():
        if not any(table.equals(other) for other in maps.values()):
            maps[method] = table
    in_parts = (protocol.compared_with, protocol.trained_apart)
    maps = {name: table if name in in_parts else table[table["modality"] == ""] for name, table in maps.items()}
    return figures.draw_embeddings(maps, titles(protocol.methods), windows.description.class_names, report)


def describe_runs(
    protocol: ProtocolSettings, compute: ComputeSettings, seed: int, *, cell: Cell, **artifacts: Any
) -> list[TrackedRun]:
    """Describe one run per evaluation and label budget of a cell, for the tracking server.

    Args:
        protocol: Settings of the protocol.
        compute: Where the results were computed.
        seed: Seed of the run.
        cell: Method and split.
        **artifacts: windows, encoders, history, predictions, learning_curves and scores.
    """
    description = artifacts["windows"].description
    results = CellResults(
        scores=artifacts["scores"],
        predictions=artifacts["predictions"],
        curves=artifacts["learning_curves"],
        history=artifacts["history"],
        classes=description.class_names,
        digest=artifacts["encoders"].fingerprint,
        source=description.url,
    )
    shown = {budget.name for budget in protocol.budgets_of_all}
    runs = []
    for row, of_row in results.rows():
        parameters = {
            "seed": seed,
            "compute": str(compute.resolve()),
            **protocol.settings_of(cell, description.name),
            "evaluation": protocol.evaluations[parse_evaluation(row["evaluation"])[0]].model_dump(mode="json"),
        }
        # Label budgets of single evaluations are points of a curve only, and described in brief.
        runs.append(describe_row(row, of_row, parameters, in_full=row["label_budget"] in shown))
    return runs


def gather_runs(*described: list[TrackedRun]) -> list[TrackedRun]:
    """Concatenate the runs of all splits and methods into one list."""
    return [run for runs in described for run in runs]


def gather_facts(
    protocol: ProtocolSettings, report: ReportSettings, compute: ComputeSettings, seed: int, **artifacts: Any
) -> ReportFacts:
    """Collect everything the report contains.

    Args:
        protocol: Settings of the protocol.
        report: How results are summarised.
        compute: Where they were computed.
        seed: Seed of the run.
        **artifacts: windows, recordings_summary, scores, summary and comparisons; each split's leakage and each cell's
            history, by artifact name.

    Raises:
        ValueError: if the stored results were computed with other settings than the report would state.
    """
    histories = dict(_by_cell({name: table for name, table in artifacts.items() if name.endswith(".history")}))
    windows: Windows = artifacts["windows"]
    _require_same_settings(protocol, histories, artifacts["scores"])
    sentences = findings.findings(
        artifacts["comparisons"],
        titles(protocol.methods),
        evaluation_titles(protocol, artifacts["scores"]),
        titles(protocol.splits),
        1 - report.confidence,
    )
    dataset = windows.description.name
    of_all = artifacts["comparisons"]["label_budget"].isin([budget.name for budget in protocol.budgets_of_all])
    modalities = contributions.modality_sentences(
        artifacts["comparisons"][of_all],
        str(protocol.trained_apart),
        titles(protocol.methods),
        evaluation_titles(protocol, artifacts["scores"]),
        titles(protocol.splits),
        1 - report.confidence,
    )
    return ReportFacts(
        description=windows.description,
        windows=len(windows.table),
        subjects=windows.table["subject"].nunique(),
        recordings_summary=artifacts["recordings_summary"],
        leakage={name.split(".")[1]: counted for name, counted in artifacts.items() if name.endswith(".leakage")},
        scores=artifacts["scores"],
        summary=artifacts["summary"],
        findings=list(sentences),
        protocol=_protocol_of(dataset, protocol, artifacts["scores"]),
        refinements=refinements(protocol, dataset),
        modalities=list(modalities),
        label_free=_last_epochs({name: table for name, table in artifacts.items() if name.endswith(".history")}),
        selection=artifacts.get("selection"),
        seed=seed,
        confidence=report.confidence,
        device=str(compute.resolve()),
        seconds={cell: float(history["seconds"].sum()) for cell, history in histories.items()},
    )


def _protocol_of(dataset: str, protocol: ProtocolSettings, scores: pd.DataFrame) -> dict[str, Any]:
    """Return a protocol as plain data, with the windows, splits and methods of one data set."""
    settings = protocol.model_dump(mode="json")
    for part in ("split", "method"):
        scored = set(scores[part])
        settings[f"{part}s"] = {name: entry for name, entry in settings[f"{part}s"].items() if name in scored}
    return {**settings, "windows": protocol.windows_for(dataset).model_dump(mode="json")}


def write_html(facts: ReportFacts, **pictures: bytes) -> str:
    """Write the report as one self-contained page."""
    return render_html(facts, pictures)


def write_markdown(facts: ReportFacts) -> str:
    """Write the report's summary."""
    return render_markdown(facts)


def list_metrics(summary: pd.DataFrame) -> dict[str, float]:
    """Return mean macro-F1 by ``split.method.evaluation.budget``, few enough values to be shown in kedro-viz."""
    rows = summary[summary["metric"] == "macro_f1"].itertuples(index=False)
    return {f"{row.split}.{row.method}.{row.evaluation}.{trackable(row.label_budget)}": float(row.mean) for row in rows}


def select_setting(protocol: ProtocolSettings, scores: pd.DataFrame, **histories: pd.DataFrame) -> pd.DataFrame:
    """Choose the setting of the sweep on validation windows, per repeat; histories by artifact name."""
    return select(scores, _last_epochs(histories), protocol.swept())


def draw_sweep(summary: pd.DataFrame, protocol: ProtocolSettings, *, split: str, **histories: pd.DataFrame) -> Figure:
    """Draw a split's scores against the setting of the sweep; histories by method."""
    rows = summary[summary["split"] == split]
    last = pd.concat([_last_epoch(history).assign(method=method) for method, history in histories.items()])
    titled = evaluation_titles(protocol, rows)
    return figures.draw_sweep(rows, last, protocol.swept(), titled, str(protocol.sweep).rpartition(".")[2])


def _last_epochs(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    rows = [_last_epoch(history).assign(split=cell.split, method=cell.method) for cell, history in _by_cell(histories)]
    return pd.concat(rows, ignore_index=True)


def _last_epoch(history: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each repeat's last epoch; none of a method without pre-training."""
    return history.sort_values("epoch").groupby("repeat", as_index=False).last()


def _by_cell(artifacts: Mapping[str, pd.DataFrame]) -> Iterator[tuple[Cell, pd.DataFrame]]:
    for name, table in artifacts.items():
        if cell := Cell.parse(name.rpartition(".")[0]):
            yield cell, table


def _require_same_settings(
    protocol: ProtocolSettings, histories: Mapping[Cell, pd.DataFrame], scores: pd.DataFrame
) -> None:
    for cell, history in histories.items():
        epochs = set(history.groupby("repeat")["epoch"].max())
        if not epochs <= {protocol.methods[cell.method].budget.epochs}:
            raise _stale(f"the encoders of {cell.namespace} had {epochs} epochs", protocol)
    if scores.groupby(["split", "method"])["repeat"].nunique().ne(protocol.repeats).any():
        raise _stale("the scores have another number of repeats", protocol)
    expected = {budget.name for budget in protocol.label_budgets}
    # Without held-out groups, the budget of all labels leaves no test windows; others may be too large to evaluate.
    limited = all(evaluation.most_labels for evaluation in protocol.evaluations.values())
    optional = {budget.name for budget in protocol.label_budgets if budget.labels_everything or limited}
    if (set(scores["label_budget"]) ^ expected) - optional:
        raise _stale("the scores have other label budgets", protocol)


def _stale(what: str, protocol: ProtocolSettings) -> ValueError:
    return ValueError(
        f"Stored results do not belong to these settings ({protocol.repeats} repeats, {protocol.budget.epochs} "
        f"epochs): {what}. Report with the --env and --params of the run that made them, or run the whole protocol "
        "again."
    )
