"""The page of a search for settings: rows as configured and as tuned; and their tracked runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tables import describe_budget, in_percent, name_row
from contrastive_har.reports.tracked import TrackedRun
from contrastive_har.scores.cells import parse_evaluation
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
    """Return the page as Markdown; titles are escaped.

    Args:
        summary: From :func:`contrastive_har.scores.tuning.summarise_tuning`.
        methods: Titles of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
        chosen_at: Label budget with which settings were chosen.
        confidence: Confidence level of the intervals.
    """
    first = summary.iloc[0]
    names = [name_row(methods[of], evaluations[by]) for of, by in summary[_ROW[1:]].to_numpy()]
    named = summary.assign(name=names)
    return page_template("tuning.md.j2").render(
        repeats=first["repeats"],
        trials=first["trials"],
        chosen_at=describe_budget(chosen_at),
        interval=f"{100 * confidence:g} % interval",
        tables=[
            {
                "split": splits[str(split)],
                "budget": describe_budget(str(budget)),
                "rows": [_cells(row, methods, evaluations) for row in rows.to_dict("records")],
                "findings": list(_findings(rows, 1 - confidence)),
            }
            for (split, budget), rows in named.groupby(["split", "label_budget"], sort=False)
        ],
        settings=[
            (row["name"], splits[row["split"]].lower(), _in_words(json.loads(row["settings"]), row["evaluation"]))
            for row in named.drop_duplicates(_ROW).to_dict("records")
        ],
    )


def _cells(row: Mapping[Any, Any], methods: Mapping[str, str], evaluations: Mapping[str, str]) -> list[str]:
    scores = [in_percent(row[name]) for name in (*SETTINGS, "untuned_validation", "tuned_validation")]
    interval = f"{in_percent(row['low'], signed=True)} to {in_percent(row['high'], signed=True)}"
    difference = f"{in_percent(row['difference'], signed=True)} ({interval})"
    return [methods[row["method"]], evaluations[row["evaluation"]], *scores[:2], difference, *scores[2:]]


def _findings(rows: pd.DataFrame, level: float) -> Iterator[str]:
    """Yield the best rows as configured and as tuned, and for which rows tuning makes a significant difference."""
    best = {setting: rows.loc[rows[setting].idxmax()] for setting in SETTINGS}
    found = (f"{setting}, {row['name']} ({in_percent(row[setting])})" for setting, row in best.items())
    yield f"Best: {'; '.join(found)}."
    significant = rows[rows["p_holm"] < level]
    for verb, chosen in (("gains", significant["difference"] > 0), ("loses", significant["difference"] < 0)):
        if chosen.any():
            yield f"Tuning {verb} significantly: {'; '.join(significant.loc[chosen, 'name'])}."
    if significant.empty:
        least = least_repeats(len(rows), level)
        few = f" With so many rows, at least {least} repeats are needed." if rows["repeats"].max() < least else ""
        yield f"Tuning makes no significant difference (Wilcoxon's signed-rank test, Holm-corrected).{few}"


def _in_words(chosen: Sequence[Mapping[str, Any]], evaluation: str) -> list[dict[str, str]]:
    """Return the values of each setting by name, floats with three digits; none of the row's other evaluations."""
    own = f"evaluations.{parse_evaluation(evaluation)[0]}."
    return [
        {
            name.removeprefix(own): f"{value:.3g}" if isinstance(value, float) else str(value)
            for name, value in setting.items()
            if name.startswith(own) or not name.startswith("evaluations.")
        }
        for setting in chosen
    ]


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
