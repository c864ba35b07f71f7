"""Runs side by side: their scores with paired tests, and what differs in settings, code, packages and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contrastive_har.refining import refined_keys
from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tables import in_percent
from contrastive_har.scores.comparisons import compare_differences, holm, least_repeats
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.table import EVERYTHING
from contrastive_har.signals.seeds import derive_seed

_CELL = ["protocol", "split", "method", "evaluation", "label_budget"]
COMPARED_COLUMNS = [
    *("first", "other", *_CELL, "repeats", "first_mean", "other_mean"),
    *("difference", "low", "high", "p", "p_holm"),
]
"""``difference`` is ``other`` minus ``first``; interval and p-values are missing where repeats are not paired."""


@dataclass(frozen=True)
class ComparedRun:
    """A run as it is compared.

    Attributes:
        run_id: Its id.
        dataset: Name of its data set.
        recordings: Version of the recordings that it has read.
        files: Fingerprint of the files that these are from; None if it is not known.
        code: Fingerprint of its code.
        packages: Versions of its packages.
        parameters: Its parameters.
        scores: Long scores of its protocols.
    """

    run_id: str
    dataset: str
    recordings: str
    files: str | None
    code: str
    packages: Mapping[str, str]
    parameters: Mapping[str, Any]
    scores: pd.DataFrame

    def is_paired_with(self, other: ComparedRun, protocol: str) -> bool:
        """Return whether the repeats of a protocol have the same seed, files, windows and splits in both runs."""
        mine, theirs = (run.parameters.get(protocol, {}) for run in (self, other))
        same = all(mine.get(name) == theirs.get(name) for name in ("repeats", "windows", "windows_of", "splits"))
        same &= self.files is not None and self.files == other.files
        return same and (self.dataset, self.parameters["seed"]) == (other.dataset, other.parameters["seed"])


def compare_runs(runs: Sequence[ComparedRun], settings: ReportSettings) -> pd.DataFrame:
    """Compare macro-F1 of the cells that the first run shares with each other one.

    Where repeats are paired, by Wilcoxon's signed-rank test; p-values are corrected by Holm's method over the cells of
    a pair of runs.

    Args:
        runs: At least two runs.
        settings: Confidence level and resamples of the intervals.

    Raises:
        ValueError: if there are fewer than two runs, or if the first shares no cell with another.
    """
    if len(runs) < 2:
        raise ValueError("Name at least two runs to compare: contrastive-har runs lists them.")
    first, *others = runs
    tables = []
    for other in others:
        rows = list(_compare_pair(first, other, settings))
        if not rows:
            raise ValueError(f"Runs {first.run_id} and {other.run_id} have no method and evaluation in common.")
        table = pd.DataFrame(rows).reindex(columns=COMPARED_COLUMNS)
        tested = table["p"].notna()
        table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].tolist())
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _compare_pair(first: ComparedRun, other: ComparedRun, settings: ReportSettings) -> Iterator[dict[str, Any]]:
    cells = [dict(iter(_whole(run.scores).groupby(_CELL, sort=False))) for run in (first, other)]
    for key in [key for key in cells[0] if key in cells[1]]:
        before, now = (table[key].set_index("repeat")["value"].sort_index() for table in cells)
        row = {
            "first": first.run_id,
            "other": other.run_id,
            **dict(zip(_CELL, key, strict=True)),
            "repeats": min(len(before), len(now)),
            "first_mean": before.mean(),
            "other_mean": now.mean(),
            "difference": now.mean() - before.mean(),
        }
        if first.is_paired_with(other, key[0]) and before.index.equals(now.index):
            differences = (now - before).to_numpy()
            rng = np.random.default_rng(derive_seed(settings.seed, *key))
            found = compare_differences(differences, rng, settings)
            row |= {name: found[name] for name in ("low", "high", "p")}
        yield row


def _whole(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[(scores["metric"] == "macro_f1") & (scores["group"] == EVERYTHING)]


def describe_differences(runs: Sequence[ComparedRun]) -> list[tuple[str, list[str]]]:
    """Return what differs between runs: its name, and its value in each run; settings of shared protocols only."""
    rows = [
        ("data set", [run.dataset for run in runs]),
        ("recordings", [run.recordings for run in runs]),
        ("code", [run.code[:12] for run in runs]),
    ]
    for title, values in (("package", [run.packages for run in runs]), ("", [run.parameters for run in runs])):
        changed = dict.fromkeys(key for other in values[1:] for key in refined_keys(values[0], other))
        rows += [(f"{title} {key}".strip(), [_value(one, key) for one in values]) for key in changed]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _value(settings: Mapping[str, Any], key: str) -> str:
    """Return the value of a dotted name; a dash where there is none."""
    value: Any = settings
    for part in key.split("."):
        if isinstance(value, Mapping) and key in value:
            return str(value[key])
        value = value.get(part) if isinstance(value, Mapping) else None
    return "–" if value is None else str(value)


def summarise_comparison(compared: pd.DataFrame, level: float) -> list[str]:
    """Return a sentence per pair of runs: how many cells they share, and how many differ significantly."""
    sentences = []
    for (first, other), rows in compared.groupby(["first", "other"], sort=False):
        mean = in_percent(rows["difference"].mean(), signed=True)
        sentence = f"{other} against {first}: {len(rows)} cells in common, {mean} points on average"
        tested = rows[rows["p"].notna()]
        enough = least_repeats(max(1, len(tested)), level)
        if tested.empty:
            sentence += "; repeats are not paired (other seed, data, windows, splits or repeats), so nothing is tested"
        elif tested["repeats"].max() < enough:
            sentence += f"; with {tested['repeats'].max()} repeats nothing can be significant, {enough} could"
        else:
            sentence += f"; {int((tested['p_holm'] < level).sum())} differences are significant"
        sentences.append(f"{sentence}.")
    return sentences


def render_comparison(runs: Sequence[ComparedRun], compared: pd.DataFrame, confidence: float) -> str:
    """Return a page that compares runs.

    Args:
        runs: The runs.
        compared: From :func:`compare_runs`.
        confidence: Confidence level of the intervals.
    """
    return page_template("comparison.html.j2").render(
        runs=[run.run_id for run in runs],
        sentences=summarise_comparison(compared, 1 - confidence),
        interval=f"{100 * confidence:g} % bootstrap interval",
        rows=[_formatted(row) for row in compared.itertuples(index=False)],
        differences=describe_differences(runs),
    )


def _formatted(row: Any) -> list[str]:
    means = [in_percent(row.first_mean), in_percent(row.other_mean), in_percent(row.difference, signed=True)]
    paired = pd.notna(row.p)
    interval = f"{in_percent(row.low, signed=True)} to {in_percent(row.high, signed=True)}" if paired else "–"
    names = [row.protocol, row.split, row.method, row.evaluation, row.label_budget, row.other]
    return [*names, *means, interval, f"{row.p_holm:.2g}" if paired else "–"]
