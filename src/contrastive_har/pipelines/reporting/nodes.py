"""Scores to statistics, tracked runs and the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.pipelines.binding import CHART
from contrastive_har.protocols import (
    ProtocolSettings,
    evaluation_titles,
    refinements,
    spells,
    titles,
    vocabulary_of,
)
from contrastive_har.reports import contributions, findings
from contrastive_har.reports.report import ReportFacts, render_html, render_markdown
from contrastive_har.reports.tracked import CellResults, TrackedRun, describe_row, name_cell, trackable
from contrastive_har.scores import statistics, words
from contrastive_har.scores.cells import Cell, by_cell, by_split, parse_evaluation
from contrastive_har.scores.claims import judge
from contrastive_har.scores.comparisons import compare
from contrastive_har.scores.selection import last_epochs, select
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows
from contrastive_har.use import complexity, validation, whole_recordings
from contrastive_har.use.cards import describe_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.timelines import InferenceSettings


def summarise_scores(scores: pd.DataFrame, report: ReportSettings) -> pd.DataFrame:
    """Return mean, spread, interval, published number and difference of every cell."""
    return statistics.summarise(scores, statistics.read_published(), report)


def compare_methods(scores: pd.DataFrame, protocol: ProtocolSettings, report: ReportSettings) -> pd.DataFrame:
    """Test the differences between one method and all others, paired by repeat."""
    return compare(scores, protocol.compared_with, report)


def measure_complexity(windows: Windows, **trained: Any) -> pd.DataFrame:
    """Measure the recognisers of a split's methods; encoders and heads by artifact name."""
    return complexity.measure_complexity(windows, by_cell(trained, "encoders"), by_cell(trained, "heads"))


def score_words(windows: Windows, protocol: ProtocolSettings, **predictions: pd.DataFrame) -> pd.DataFrame:
    """Score the words of activities' names on one split; predictions by method."""
    vocabulary = vocabulary_of(protocol, windows.description.class_names)
    return pd.concat([words.score_words(table, vocabulary).assign(method=name) for name, table in predictions.items()])


def score_recordings(
    recordings: Recordings,
    windows: Windows,
    recogniser: TrainedRecogniser,
    inference: InferenceSettings,
    **roles: Roles,
) -> pd.DataFrame:
    """Score the recogniser on the whole recordings of its test people, second by second."""
    return whole_recordings.score_recordings(recogniser, recordings, windows, by_split(roles, "roles"), inference)


def assess_calibration(windows: Windows, recogniser: TrainedRecogniser, **roles: Roles) -> pd.DataFrame:
    """Compare a recogniser's probabilities with how often they are right; roles by artifact name."""
    return validation.assess_calibration(recogniser, windows, by_split(roles, "roles"))


def describe_runs(
    protocol: ProtocolSettings,
    report: ReportSettings,
    compute: ComputeSettings,
    seed: int,
    *,
    cell: Cell,
    **artifacts: Any,
) -> list[TrackedRun]:
    """Describe one run per evaluation and label budget of a cell, for the tracking server.

    Args:
        protocol: Settings of the protocol.
        report: How results are summarised.
        compute: Where the results were computed.
        seed: Seed of the run.
        cell: Method and split.
        **artifacts: texts, windows, history, predictions, learning_curves and scores.
    """
    windows = artifacts["windows"]
    description = windows.description.model_copy(update=artifacts["texts"])
    results = CellResults(
        scores=artifacts["scores"],
        predictions=artifacts["predictions"],
        curves=artifacts["learning_curves"],
        history=artifacts["history"],
        classes=description.class_names,
        source=description.url,
    )
    shown = {budget.name for budget in protocol.budgets_of_all}
    titled = evaluation_titles(protocol, results.scores)
    runs = []
    for row, of_row in results.rows():
        parameters = {
            "seed": seed,
            "compute": str(compute.resolve()),
            **protocol.settings_of(cell, description.name),
            "evaluation": protocol.evaluations[parse_evaluation(row["evaluation"])[0]].model_dump(mode="json"),
        }
        # Label budgets of single evaluations are points of a curve only, and described in brief.
        name = name_cell(
            protocol.methods[cell.method].title,
            titled[row["evaluation"]],
            row["label_budget"],
            protocol.splits[cell.split].title,
        )
        summary = summarise_scores(of_row.scores, report)
        runs.append(describe_row(name, row, of_row, summary, parameters, in_full=row["label_budget"] in shown))
    return runs


def gather_runs(windows: Windows, *described: list[TrackedRun]) -> list[TrackedRun]:
    """Concatenate the runs of all splits and methods into one list, and add the fingerprint of their windows."""
    digest = fingerprint(windows.signals, windows.table["activity"].to_numpy())  # once: there may be gigabytes
    return [replace(run, digest=digest) for runs in described for run in runs]


def gather_facts(
    protocol: ProtocolSettings, report: ReportSettings, compute: ComputeSettings, seed: int, **artifacts: Any
) -> ReportFacts:
    """Collect everything the report contains.

    Args:
        protocol: Settings of the protocol.
        report: How results are summarised.
        compute: Where they were computed.
        seed: Seed of the run.
        **artifacts: run, texts, windows, windows_summary, recordings_summary, scores, summary, comparisons and
            complexity; the recogniser, if one is chosen; each split's roles, leakage and scores by word, and each
            cell's history, by artifact name.
    """
    histories, windows = by_cell(artifacts, "history"), artifacts["windows"]
    scores, comparisons = artifacts["scores"], artifacts["comparisons"]
    named = (titles(protocol.methods), evaluation_titles(protocol, scores), titles(protocol.splits))
    level = 1 - report.confidence
    dataset, classes = windows.description.name, windows.description.class_names
    common = [budget.name for budget in protocol.budgets_of_all]
    of_all = comparisons[comparisons["label_budget"].isin(common)]
    judged = scores[scores["label_budget"].isin(common)]
    verdicts = {claim: judge(judged, claim, report) for claim in protocol.claims.values()}
    roles, recogniser = by_split(artifacts, "roles"), artifacts.get("recogniser")
    return ReportFacts(
        description=windows.description.model_copy(update=artifacts["texts"]),
        windows=len(windows.table),
        windows_by_class=_count(windows),
        subjects=windows.table["subject"].nunique(),
        recordings_summary=artifacts["recordings_summary"],
        windows_summary=artifacts["windows_summary"],
        leakage=by_split(artifacts, "leakage"),
        untested={split: of_split.untested(windows.classes(), len(classes)) for split, of_split in roles.items()},
        scores=scores,
        summary=artifacts["summary"],
        comparisons=comparisons,
        findings=list(findings.findings(comparisons, *named, level)),
        claims=list(findings.claim_rows(verdicts, *named)),
        protocol=_protocol_of(dataset, protocol, scores),
        refinements=refinements(protocol, dataset),
        modalities=list(contributions.modality_sentences(of_all, str(protocol.trained_apart), *named, level)),
        vocabulary=vocabulary_of(protocol, classes) if spells(protocol) else None,
        word_scores=by_split(artifacts, "word_scores"),
        label_free=last_epochs(histories),
        selection=artifacts.get("selection"),
        recogniser=describe_recogniser(recogniser) if recogniser else None,
        calibration=artifacts.get("calibration"),
        whole_recordings=artifacts.get("whole_recordings"),
        complexity=artifacts["complexity"],
        run=artifacts["run"],
        seed=seed,
        confidence=report.confidence,
        device=str(compute.resolve()),
        seconds={cell: float(history["seconds"].sum()) for cell, history in histories.items()},
    )


def _count(windows: Windows) -> dict[str, int]:
    """Return the number of windows of each activity."""
    classes = windows.classes()
    counts = np.bincount(classes[classes != UNLABELLED], minlength=windows.class_count)
    return dict(zip(windows.description.class_names, map(int, counts), strict=True))


def _protocol_of(dataset: str, protocol: ProtocolSettings, scores: pd.DataFrame) -> dict[str, Any]:
    """Return a protocol as plain data, with the windows, splits and methods of one data set."""
    settings = protocol.model_dump(mode="json")
    for part in ("split", "method"):
        scored = set(scores[part])
        settings[f"{part}s"] = {name: entry for name, entry in settings[f"{part}s"].items() if name in scored}
    return {**settings, "windows": protocol.windows_for(dataset).model_dump(mode="json")}


def write_html(facts: ReportFacts, **drawn: Any) -> str:
    """Write the report as one self-contained page; pictures and charts by name."""
    charts = {name.removesuffix(CHART): chart for name, chart in drawn.items() if name.endswith(CHART)}
    pictures = {name: picture for name, picture in drawn.items() if not name.endswith(CHART)}
    return render_html(facts, pictures, charts)


def write_markdown(facts: ReportFacts) -> str:
    """Write the report's summary."""
    return render_markdown(facts)


def list_metrics(summary: pd.DataFrame) -> dict[str, float]:
    """Return mean macro-F1 by ``split.method.evaluation.budget``, few enough values to be shown in kedro-viz."""
    rows = summary[summary["metric"] == "macro_f1"].itertuples(index=False)
    return {f"{row.split}.{row.method}.{row.evaluation}.{trackable(row.label_budget)}": float(row.mean) for row in rows}


def select_setting(protocol: ProtocolSettings, scores: pd.DataFrame, **histories: pd.DataFrame) -> pd.DataFrame:
    """Choose the setting of the sweep on validation windows, per repeat; histories by artifact name."""
    return select(scores, last_epochs(by_cell(histories, "history")), protocol.swept())
