"""The page of a search for settings: rows as configured and as tuned; and their tracked runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.reports.tables import describe_budget, in_percent, name_row
from contrastive_har.reports.tracked import TrackedRun
from contrastive_har.scores.comparisons import least_repeats
from contrastive_har.scores.table import CELL, EVERYTHING
from contrastive_har.scores.tuning import SETTINGS
from contrastive_har.signals.windows import Windows

_ROW = ["split", "method", "evaluation"]


def write_page(
    summary: pd.DataFrame,
    methods: Mapping[str, str],
    evaluations: Mapping[str, str],
    splits: Mapping[str, str],
    chosen_at: str,
    confidence: float,
) -> str:
    """Return the page as Markdown.

    Args:
        summary: From :func:`contrastive_har.scores.tuning.summarise_tuning`.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
        chosen_at: Label budget with which settings were chosen.
        confidence: Confidence level of the intervals.
    """
    first = summary.iloc[0]
    lines = [
        f"Macro-F1 in per cent, mean over {first['repeats']} repeats. Each repeat tried {first['trials']} settings of "
        f"every row, the first as configured, and chose the best on its validation windows with "
        f"{describe_budget(chosen_at)}; test windows chose nothing. The difference is paired by repeat, with its "
        f"{100 * confidence:g} % interval.",
        "",
    ]
    for (split, budget), rows in summary.groupby(["split", "label_budget"], sort=False):
        lines += [f"## {splits[str(split)]}, {describe_budget(str(budget))}", ""]
        named = rows.assign(name=[name_row(methods[of], evaluations[by]) for of, by in rows[_ROW[1:]].to_numpy()])
        lines += [*_table(rows, methods, evaluations), "", *_findings(named, 1 - confidence), ""]
    lines += ["## Chosen settings", "", *_chosen(summary.drop_duplicates(_ROW), methods, evaluations, splits), ""]
    return "\n".join(lines)


def _table(rows: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str]) -> Iterator[str]:
    yield "| method | evaluation | untuned | tuned | difference | validation, untuned | validation, tuned |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows.to_dict("records"):
        scores = [in_percent(row[name]) for name in (*SETTINGS, "untuned_validation", "tuned_validation")]
        interval = f"{in_percent(row['low'], signed=True)} to {in_percent(row['high'], signed=True)}"
        difference = f"{in_percent(row['difference'], signed=True)} ({interval})"
        cells = [methods[row["method"]], evaluations[row["evaluation"]], *scores[:2], difference, *scores[2:]]
        yield f"| {' | '.join(cells)} |"


def _findings(rows: pd.DataFrame, level: float) -> Iterator[str]:
    """Yield the best rows as configured and as tuned, and for which rows tuning makes a significant difference."""
    best = {setting: rows.loc[rows[setting].idxmax()] for setting in SETTINGS}
    found = (f"{setting}, {row['name']} ({in_percent(row[setting])})" for setting, row in best.items())
    yield f"* Best: {'; '.join(found)}."
    significant = rows[rows["p_holm"] < level]
    for verb, chosen in (("gains", significant["difference"] > 0), ("loses", significant["difference"] < 0)):
        if chosen.any():
            yield f"* Tuning {verb} significantly: {'; '.join(significant.loc[chosen, 'name'])}."
    if significant.empty:
        least = least_repeats(len(rows), level)
        few = f" With so many rows, at least {least} repeats are needed." if rows["repeats"].max() < least else ""
        yield f"* Tuning makes no significant difference (Wilcoxon's signed-rank test, Holm-corrected).{few}"


def _chosen(
    rows: pd.DataFrame, methods: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Iterator[str]:
    for row in rows.to_dict("records"):
        name = name_row(methods[row["method"]], evaluations[row["evaluation"]])
        settings = "; ".join(_in_words(setting) for setting in json.loads(row["settings"]))
        yield f"* {name}, {splits[row['split']].lower()}: {settings}"


def _in_words(setting: Mapping[str, Any]) -> str:
    """Return the values of a setting by name, such as ``budget.learning_rate 0.002``."""
    values = (
        f"`{name}` {value:.3g}" if isinstance(value, float) else f"`{name}` {value}" for name, value in setting.items()
    )
    return ", ".join(values) or "as configured"


def describe_tuning(
    windows: Windows, trials: pd.DataFrame, scores: pd.DataFrame, summary: pd.DataFrame, methods: Mapping[str, str]
) -> list[TrackedRun]:
    """Describe the tracked run of each row and label budget, with its trials as steps.

    Args:
        windows: The windows of the protocol.
        trials: All trials, with those marked that are chosen.
        scores: Long scores with a column ``setting``.
        summary: From :func:`contrastive_har.scores.tuning.summarise_tuning`.
        methods: Titles of the methods.
    """
    digest = fingerprint(windows.signals, windows.table["activity"].to_numpy())
    whole = scores[(scores["metric"] == "macro_f1") & (scores["group"] == EVERYTHING)]
    runs = []
    for values, of_row in whole.groupby(CELL, sort=False):
        cell = dict(zip(CELL, map(str, values), strict=True))
        tried = trials[(trials[_ROW] == [cell[name] for name in _ROW]).all(axis=1)]
        keys = [*_ROW, "label_budget"]
        (told,) = summary[(summary[keys] == [cell[name] for name in keys]).all(axis=1)].to_dict("records")
        chosen = tried[tried["chosen"]]
        metrics = [
            *((f"{name}_macro_f1", float(told[name]), 0) for name in SETTINGS),
            *(
                (f"{row.setting}_macro_f1_by_repeat", float(row.value), int(row.repeat))
                for row in of_row.itertuples(index=False)
            ),
            *(
                (f"validation_macro_f1_repeat_{row.repeat}_by_trial", float(row.validation_macro_f1), int(row.trial))
                for row in tried.itertuples(index=False)
            ),
        ]
        runs.append(
            TrackedRun(
                name=f"{methods[cell['method']]} · {cell['evaluation']} · {cell['label_budget']} · tuned",
                tags=cell,
                parameters={**cell, **{f"setting_repeat_{row.repeat}": row.setting for row in chosen.itertuples()}},
                metrics=metrics,
                figures={},
                dataset=cell["dataset"],
                digest=digest,
                source=windows.description.url,
                description=f"Macro-F1 {in_percent(told['untuned'])} as configured, {in_percent(told['tuned'])} tuned.",
            )
        )
    return runs
