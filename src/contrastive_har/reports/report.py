"""The report: one self-contained HTML page, and its summary in Markdown, from the same facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_har.models.heads.words import Vocabulary
from contrastive_har.reports.answer import answer, count_in_words
from contrastive_har.reports.calibration import calibration_rows
from contrastive_har.reports.complexity import complexity_rows, published_rows
from contrastive_har.reports.contributions import contribution_tables
from contrastive_har.reports.difficulty import hard_activities, hard_subjects
from contrastive_har.reports.embedding import embed_charts, embed_picture, embed_plotly
from contrastive_har.reports.expectation import describe_expectation
from contrastive_har.reports.figures.style import is_empty
from contrastive_har.reports.findings import ClaimRow, Finding, collapses, unfinished
from contrastive_har.reports.frequencies import divide_by_frequency, frequency_tables
from contrastive_har.reports.model import describe_model
from contrastive_har.reports.origin import RunFacts, describe_origin
from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tables import budgets_of_all, describe_budget, in_percent, name_row, result_tables
from contrastive_har.reports.words import word_tables
from contrastive_har.scores.cells import Cell, title_evaluations
from contrastive_har.scores.table import CLASS, EVERYTHING
from contrastive_har.scores.words import count_words, telling_words
from contrastive_har.signals.descriptions import DatasetDescription


@dataclass(frozen=True)
class ReportFacts:
    """The contents of a report.

    Attributes:
        description: The data set.
        windows: Number of windows.
        windows_by_class: Number of labelled windows by activity.
        subjects: Number of subjects.
        recordings_summary: Recordings per subject and activity, the rejected ones, and what was mended.
        windows_summary: Minutes of each activity in windows and in none.
        leakage: The leakage audit by split.
        untested: By split, the class indices without a test window, and the repeats in which there is none.
        scores: Long scores.
        summary: One row per cell and metric.
        comparisons: Comparisons of methods.
        findings: The same in sentences.
        claims: What the scores say of the protocol's claims.
        protocol: The protocol's settings as plain data.
        refinements: Settings of rows, and of the windows of this data set, that differ from those of the protocol.
        modalities: Sentences on what pre-training across modalities gives each modality.
        vocabulary: The words of the activities' names, if a head spells them.
        word_scores: Recall of each word by split, if a head spells names.
        label_free: The last epoch of pre-training of every cell and repeat, with its measures that need no labels.
        selection: What choosing the setting of a sweep gives; None without a sweep.
        recogniser: Facts of the recogniser; None where none is chosen.
        calibration: Bins of the recognisers' probabilities; None where no recogniser is chosen.
        whole_recordings: Scores of the recogniser on whole recordings by test person; None where none is chosen.
        complexity: Size, arithmetic and time by method and evaluation.
        run: What identifies the run.
        seed: Seed of the run.
        confidence: Confidence level of the intervals.
        device: Device and precision.
        seconds: Pre-training time by cell.
    """

    description: DatasetDescription
    windows: int
    windows_by_class: Mapping[str, int]
    subjects: int
    recordings_summary: pd.DataFrame
    windows_summary: pd.DataFrame
    leakage: Mapping[str, Any]
    untested: Mapping[str, Mapping[int, Sequence[int]]]
    scores: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    findings: Sequence[Finding]
    claims: Sequence[ClaimRow]
    protocol: Mapping[str, Any]
    refinements: Mapping[str, Mapping[str, tuple[Any, Any]]]
    modalities: Sequence[str]
    vocabulary: Vocabulary | None
    word_scores: Mapping[str, pd.DataFrame]
    label_free: pd.DataFrame
    selection: pd.DataFrame | None
    recogniser: Mapping[str, Any] | None
    calibration: pd.DataFrame | None
    whole_recordings: pd.DataFrame | None
    complexity: pd.DataFrame
    run: RunFacts
    seed: int
    confidence: float
    device: str
    seconds: Mapping[Cell, float]

    @property
    def level(self) -> float:
        """Level of significance."""
        return 1 - self.confidence


def render_html(
    facts: ReportFacts, figures: Mapping[str, bytes], charts: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Return the report.

    Args:
        facts: Its contents.
        figures: PNGs by name, those of one split by ``split.name``; empty figures are left out.
        charts: What a browser shows in the place of figures, by the same names.
    """
    shown = {name: chart for name, chart in (charts or {}).items() if chart}
    return page_template("report.html.j2").render(
        **_context(facts),
        figures={name: embed_picture(picture) for name, picture in figures.items() if not is_empty(picture)},
        charts=shown,
        packed_charts=embed_charts(shown),
        plotly=embed_plotly(),
    )


def render_markdown(facts: ReportFacts) -> str:
    """Return the summary."""
    return page_template("summary.md.j2").render(**_context(facts))


def _context(facts: ReportFacts) -> dict[str, Any]:
    protocol = facts.protocol
    methods = {name: method["title"] for name, method in protocol["methods"].items()}
    configured = {name: evaluation["title"] for name, evaluation in protocol["evaluations"].items()}
    splits = {name: split["title"] for name, split in protocol["splits"].items()}
    evaluations = title_evaluations(configured, facts.summary["evaluation"].unique())
    fewest = budgets_of_all(facts.summary)[0]
    repeats = protocol["repeats"]
    names = facts.description.class_names
    answered = answer(facts.summary, facts.comparisons, protocol, len(names), facts.level)
    untested = {split: {names[index]: some for index, some in of.items()} for split, of in facts.untested.items()}
    rejected = facts.recordings_summary.dropna(subset=["rejected"])
    return {
        "facts": facts,
        "tables": result_tables(facts.summary, protocol["splits"], methods, evaluations),
        "untested": _untested(untested, splits, repeats),
        "contributions": contribution_tables(facts.summary, methods, configured, splits),
        "frequencies": frequency_tables(facts.scores, facts.windows_by_class, methods, evaluations, splits),
        "thirds": divide_by_frequency(facts.windows_by_class),
        "label_free": _label_free(facts, methods),
        "selection": [] if facts.selection is None else facts.selection.to_dict("records"),
        "calibration": [] if facts.calibration is None else calibration_rows(facts.calibration),
        "expectation": _expectation(facts),
        "evaluations": evaluations,
        "answer": answered,
        "model": describe_model(facts.recogniser, facts.summary, methods, evaluations, splits, facts.description),
        "hard_activities": hard_activities(facts.scores, fewest, splits, untested),
        "hard_subjects": hard_subjects(facts.scores, fewest, splits),
        "repeats": f"{count_in_words(repeats)} repeat{'s' if repeats > 1 else ''}",
        "seconds": [(methods[cell.method], splits[cell.split], time) for cell, time in facts.seconds.items() if time],
        "collapses": list(collapses(facts.label_free, methods, splits)),
        "unfinished": list(unfinished(facts.scores, methods, evaluations, splits)),
        "methods": methods,
        "refined": {methods.get(name, name): keys for name, keys in facts.refinements.items()},
        "has_refined_budgets": any(key.startswith("budget.") for keys in facts.refinements.values() for key in keys),
        "fewest": fewest,
        "few": describe_budget(fewest),
        "comparisons": _by_family(facts.findings),
        "by_class": _by_class(facts, methods, evaluations, fewest),
        **_words(facts, methods, evaluations, splits, fewest),
        "rejected": rejected[["rejected", "reason"]].to_dict("records"),
        "notes": list(facts.summary["note"].dropna().unique()),
        "interval": f"{100 * facts.confidence:g} % bootstrap interval",
        "minutes": facts.windows_summary.to_dict("records"),
        "mended": _mended(facts.recordings_summary),
        "doubted": facts.recordings_summary.dropna(subset=["doubted"])[["doubted", "reason"]].to_dict("records"),
        "passed_over": facts.recordings_summary["reason"][facts.recordings_summary["passed_over"].notna()].tolist(),
        "complexity": complexity_rows(facts.complexity, methods, evaluations),
        "published_complexity": published_rows(str(facts.scores["protocol"].iloc[0])),
        "origin": describe_origin(facts.run, facts.device),
    }


def _mended(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how many recordings had each defect, and how many of their rows or samples."""
    rows = summary.dropna(subset=["mended"])
    if rows.empty:
        return []
    defects = rows["defect"].str.replace(r", the first in row .*", "", regex=True)
    totals = rows.groupby(defects, sort=False).agg(recordings=("mended", "nunique"), count=("count", "sum"))
    return [{str(key): value for key, value in row.items()} for row in totals.reset_index().to_dict("records")]


def _by_family(findings: Sequence[Finding]) -> dict[str, dict[str, list[Finding]]]:
    """Return findings by split and family."""
    families: dict[str, dict[str, list[Finding]]] = {}
    for finding in findings:
        families.setdefault(finding.split, {}).setdefault(finding.family, []).append(finding)
    return families


def _by_class(
    facts: ReportFacts, methods: Mapping[str, str], evaluations: Mapping[str, str], budget: str
) -> dict[str, list[tuple[str, list[str]]]]:
    """Return mean F1 by class with the smallest label budget: rows of (method and evaluation, values) by split."""
    scores = facts.scores
    rows = scores[(scores["metric"] == "f1") & (scores["group"] != EVERYTHING) & (scores["label_budget"] == budget)]
    tables: dict[str, list[tuple[str, list[str]]]] = {}
    for (split, method, evaluation), of_row in rows.groupby(["split", "method", "evaluation"], sort=False):
        means = of_row.groupby("group", sort=False)["value"].mean()
        values = [in_percent(means[f"{CLASS}{name}"]) for name in facts.description.class_names]
        label = name_row(methods[method], evaluations[evaluation])
        tables.setdefault(facts.protocol["splits"][split]["title"], []).append((label, values))
    return tables


def _untested(
    untested: Mapping[str, Mapping[str, Sequence[int]]], splits: Mapping[str, str], count: int
) -> dict[str, str]:
    """Return which activities lack test windows, and in which repeats, by title of the split; of splits with such."""
    texts = {}
    for split, by_activity in untested.items():
        parts = []
        for activity, repeats in by_activity.items():
            listed = ", ".join(str(repeat + 1) for repeat in repeats)
            parts.append(f"{activity} ({'every repeat' if len(repeats) == count else f'repeat {listed}'})")
        if parts:
            texts[splits[split]] = ", ".join(parts)
    return texts


def _words(
    facts: ReportFacts,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
    budget: str,
) -> dict[str, Any]:
    """Return in how many names each word is, and the recalls of words with the smallest label budget."""
    words = count_words(telling_words(facts.vocabulary)) if facts.vocabulary else {}
    recalls = {splits[split]: table for split, table in facts.word_scores.items()}
    return {"words": words, "by_word": word_tables(recalls, list(words), budget, methods, evaluations)}


def _label_free(facts: ReportFacts, methods: Mapping[str, str]) -> dict[str, Any]:
    """Return mean measures of pre-training that need no labels: those measured, and rows of (split, method, values)."""
    formats = {"alignment": _decimal, "uniformity": _decimal, "recall_at_1": in_percent, "recall_at_5": in_percent}
    means = facts.label_free.groupby(["split", "method"], sort=False)[[*formats]].mean()
    means = means.dropna(how="all").dropna(axis="columns", how="all")
    rows = []
    for (split, method), values in means.iterrows():
        shown = [formats[name](value) for name, value in values.items()]
        rows.append((facts.protocol["splits"][split]["title"], methods[method], shown))
    return {"names": [str(name).replace("_", " ") for name in means.columns], "rows": rows}


def _decimal(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _expectation(facts: ReportFacts) -> str | None:
    people = facts.whole_recordings
    return None if people is None or people.empty else describe_expectation(people, facts.confidence)
