"""Figures: functions from tables to Matplotlib figures, without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from contrastive_har.reports.comparisons import critical_difference, families
from contrastive_har.reports.metrics import confusion_matrix
from contrastive_har.reports.statistics import ReportSettings
from contrastive_har.reports.tables import name_row, percent_of_labels

_TWENTY = colormaps["tab20"].colors  # type: ignore[attr-defined]
COLOURS = (*_TWENTY[::2], *_TWENTY[1::2])
"""For methods and activities, the strong ones first; there are twenty."""
_STYLES = ("-", "--", ":", "-.")  # of the evaluations' lines
_SPREAD = 1.15  # how far lines that share a logarithmic axis stand beside their place, as a factor
# Inches of a legend at 8 points: a line's sample with its gaps, a letter, a row.
_LEGEND_LINE, _LEGEND_LETTER, _LEGEND_ROW = 0.6, 0.065, 0.17
_GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}


def draw_views(
    views: Mapping[str, NDArray[np.float32]], titles: Sequence[str], channels: Sequence[str], rate: float
) -> Figure:
    """Draw windows and their augmented views.

    Args:
        views: By name of the view, windows (windows, time, channels).
        titles: One a window.
        channels: Names of the channels, with their units.
        rate: Samples per second.
    """
    figure = _figure(3.1 * len(titles), 2.0 * len(views))
    axes = figure.subplots(len(views), len(titles), sharex=True, sharey="col", squeeze=False)
    for row, (name, windows) in zip(axes, views.items(), strict=True):
        seconds = np.arange(windows.shape[1]) / rate
        for axis, window, title in zip(row, windows, titles, strict=True):
            for index, channel in enumerate(channels):
                axis.plot(seconds, window[:, index], linewidth=0.9, label=channel, color=COLOURS[index % len(COLOURS)])
            axis.set_title(f"{title}: {name}", fontsize=8)
            axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=7, frameon=False
    )
    return figure


def draw_label_efficiency(
    summary: pd.DataFrame, titles: Mapping[str, str], evaluations: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw macro-F1 and its interval against the share of labels, a panel a split, a line a method and evaluation.

    Args:
        summary: One row per cell and metric.
        titles: Of the methods.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    rows = summary[summary["metric"] == "macro_f1"]
    cells = rows[["method", "evaluation"]].drop_duplicates().itertuples(index=False)
    names = [name_row(titles[str(method)], evaluations[str(evaluation)]) for method, evaluation in cells]
    width = 5.4 * len(splits)
    columns = min(3, max(1, int(width / (_LEGEND_LINE + max(map(len, names)) * _LEGEND_LETTER))))
    figure = _figure(width, 3.6 + -(-len(names) // columns) * _LEGEND_ROW)
    axes = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axis, (split, title) in zip(axes, splits.items(), strict=True):
        lines = list(rows[rows["split"] == split].groupby(["method", "evaluation"], sort=False))
        for place, ((method, evaluation), line) in enumerate(lines):
            line = line.sort_values("label_fraction")
            # Neighbouring lines stand side by side, so that their intervals can be told apart.
            x = 100 * line["label_fraction"] * _SPREAD ** ((2 * place + 1) / len(lines) - 1)
            y = 100 * line["mean"]
            errors = np.nan_to_num(np.stack([y - 100 * line["low"], 100 * line["high"] - y])).clip(min=0)
            style = _STYLES[list(evaluations).index(str(evaluation)) % len(_STYLES)]
            colour = COLOURS[list(titles).index(str(method)) % len(COLOURS)]
            label = name_row(titles[str(method)], evaluations[str(evaluation)])
            axis.errorbar(
                x,
                y,
                errors,
                linestyle=style,
                marker="o",
                markersize=4,
                capsize=3,
                linewidth=1.3,
                color=colour,
                label=label,
            )
        axis.set(title=title, xscale="log", xlabel="labelled windows (%)")
        ticks = sorted(100 * rows["label_fraction"].unique())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(**_GRID)
    axes[0].set_ylabel("macro-F1 (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    return figure


def draw_budgets(rows: pd.DataFrame, evaluations: Mapping[str, str], splits: Mapping[str, str]) -> Figure:
    """Draw macro-F1 against epochs of pre-training, a panel a split and evaluation, a line a batch size.

    Args:
        rows: Summary rows with epochs and batch_size.
        evaluations: Titles of the evaluations.
        splits: Titles of the splits.
    """
    panels = list(rows.groupby(["split", "evaluation"], sort=False))
    figure = _figure(4.6 * max(1, len(panels)), 3.6)
    axes = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
    for axis, ((split, evaluation), panel) in zip(axes, panels, strict=False):
        for (size, line), colour in zip(panel.groupby("batch_size"), COLOURS, strict=False):
            line = line.sort_values("epochs")
            axis.plot(line["epochs"], 100 * line["mean"], marker="o", color=colour, label=f"batch {size}")
        axis.set(title=f"{splits[str(split)]}, {evaluations[str(evaluation)].lower()}", xlabel="epochs", xscale="log")
        ticks = sorted(panel["epochs"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.grid(**_GRID)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("macro-F1 (%)")
    return figure


def draw_loss_curves(
    histories: Mapping[str, pd.DataFrame], titles: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw the pre-training loss by epoch, a panel a method, a line a split and repeat.

    Args:
        histories: By ``split.method``.
        titles: Of the methods.
        splits: Titles of the splits.
    """
    return _draw_histories(histories, titles, splits, "loss", "training loss")


def draw_cluster_agreement(
    histories: Mapping[str, pd.DataFrame], titles: Mapping[str, str], splits: Mapping[str, str]
) -> Figure:
    """Draw the normalised mutual information of clusters and true activities by epoch."""
    clustered = {name: history for name, history in histories.items() if history["cluster_nmi"].notna().any()}
    return _draw_histories(clustered, titles, splits, "cluster_nmi", "normalised mutual information")


def _draw_histories(
    histories: Mapping[str, pd.DataFrame], titles: Mapping[str, str], splits: Mapping[str, str], column: str, label: str
) -> Figure:
    trained = {name: history for name, history in histories.items() if len(history)}
    methods = list(dict.fromkeys(name.split(".")[1] for name in trained))
    figure = _figure(5.4 * max(1, len(methods)), 3.4)
    axes = figure.subplots(1, max(1, len(methods)), squeeze=False)[0]
    if not methods:
        _say_empty(axes[0], "nothing to show: no method of this run has it")
        return figure
    for axis, method in zip(axes, methods, strict=True):
        for (split, title), colour in zip(splits.items(), COLOURS, strict=False):
            history = trained.get(f"{split}.{method}")
            if history is None:
                continue
            for repeat, rows in history.groupby("repeat"):
                axis.plot(rows["epoch"], rows[column], color=colour, alpha=0.8, label=title if repeat == 0 else None)
        axis.set(title=titles[method], xlabel="epoch")
        axis.grid(**_GRID)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel(label)
    return figure


def draw_confusion_matrices(
    predictions: Mapping[str, pd.DataFrame],
    fraction: float,
    titles: Mapping[str, str],
    evaluations: Mapping[str, str],
    classes: Sequence[str],
) -> Figure:
    """Draw one confusion matrix a method and evaluation at one label fraction, summed over repeats.

    Args:
        predictions: By method.
        fraction: Which label fraction.
        titles: Of the methods.
        evaluations: Titles of the evaluations.
        classes: Names of the class indices.
    """
    panels = []
    for method, table in predictions.items():
        chosen = table[table["label_fraction"] == fraction]
        panels += [
            (f"{titles[method]}\n{evaluations[str(evaluation)].lower()}", rows)
            for evaluation, rows in chosen.groupby("evaluation", sort=False)
        ]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = _figure(3.9 * columns, 3.7 * lines)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, rows) in zip(axes, panels, strict=False):
        draw_confusion(axis, rows, classes)
        axis.set_title(title, fontsize=9)
    return figure


def draw_one_confusion(rows: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """Draw the confusion matrix of one cell of the result table."""
    figure = _figure(4.6, 4.2)
    axis = figure.subplots()
    draw_confusion(axis, rows, classes)
    axis.set_title(title, fontsize=9)
    return figure


def draw_confusion(axis: Axes, rows: pd.DataFrame, classes: Sequence[str]) -> None:
    """Draw true against predicted activities as row percentages."""
    counts = confusion_matrix(rows["true"].to_numpy(), rows["predicted"].to_numpy(), len(classes))
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 55 else "black"
            axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    short = [name.removeprefix("walking ") if name != "walking" else name for name in classes]
    axis.set_xticks(range(len(classes)), short, rotation=45, ha="right", fontsize=7)
    axis.set_yticks(range(len(classes)), short, fontsize=7)
    axis.set_xlabel("predicted", fontsize=8)
    axis.set_ylabel("true (%)", fontsize=8)


def draw_subjects(
    scores: pd.DataFrame, fraction: float, titles: Mapping[str, str], evaluations: Mapping[str, str]
) -> Figure:
    """Draw each test subject's macro-F1 by method and evaluation on one split: how unequal the people are."""
    rows = scores[
        (scores["metric"] == "macro_f1")
        & (scores["label_fraction"] == fraction)
        & scores["group"].str.startswith("subject: ")
    ]
    groups = list(rows.groupby(["method", "evaluation"], sort=False))
    figure = _figure(8.5, 0.55 * len(groups) + 1.2)
    axis = figure.subplots()
    labels = []
    for place, ((method, evaluation), mine) in enumerate(groups):
        values = 100 * mine["value"].to_numpy()
        spread = np.random.default_rng(place).uniform(-0.18, 0.18, len(values))
        colour = COLOURS[list(titles).index(str(method)) % len(COLOURS)]
        axis.scatter(values, place + spread, s=14, alpha=0.6, color=colour)
        axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="black", linewidth=1.5)
        labels.append(name_row(titles[str(method)], evaluations[str(evaluation)]))
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 101)
    axis.set_xlabel("macro-F1 of one subject in one repeat (%); bars are means")
    axis.grid(axis="x", **_GRID)
    return figure


def draw_critical_differences(
    scores: pd.DataFrame, split: str, methods: Mapping[str, str], evaluations: Mapping[str, str], level: float
) -> Figure:
    """Draw mean ranks of the methods on a split, a panel a family; bars join what Nemenyi's test cannot tell apart.

    Friedman's test asks first whether the methods differ at all. Families with fewer repeats than five, or fewer
    methods than three, are left out.
    """
    drawn = [
        family
        for family in families(scores)
        if family.split == split and len(family.scores) >= 5 and len(family.scores.columns) >= 3
    ]
    height = 0.8 + 0.24 * max((len(family.scores.columns) for family in drawn), default=2)
    figure = Figure(figsize=(8.5, height * max(1, len(drawn))), layout="constrained")
    axes = figure.subplots(max(1, len(drawn)), 1, squeeze=False)[:, 0]
    if not drawn:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "Five repeats and three methods are the least for this figure.", ha="center")
    for axis, family in zip(axes, drawn, strict=False):
        ranks = family.scores.rank(axis=1, ascending=False).mean().sort_values()
        p = stats.friedmanchisquare(*family.scores.to_numpy().T).pvalue
        gap = critical_difference(len(ranks), len(family.scores), level)
        names = [methods[str(name)] for name in ranks.index]
        places = np.arange(len(ranks))
        axis.scatter(ranks, places, color="black", s=18, zorder=3)
        for start in places:
            last = int(np.flatnonzero(ranks.to_numpy() - ranks.iloc[start] <= gap)[-1])
            if last > start:
                axis.plot([ranks.iloc[start], ranks.iloc[last]], [start, start], color="#c44", linewidth=2, alpha=0.6)
        axis.set_yticks(places, names, fontsize=8)
        axis.invert_yaxis()
        axis.set_xlim(0.7, len(ranks) + 0.3)
        title = f"{evaluations[family.evaluation]}, {percent_of_labels(family.label_fraction)} of the labels"
        axis.set_title(f"{title}: Friedman p = {p:.2g}, critical difference {gap:.2f}", fontsize=9)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes[-1].set_xlabel("mean rank over repeats (1 is best)")
    return figure


def draw_embeddings(
    embeddings: Mapping[str, pd.DataFrame], titles: Mapping[str, str], classes: Sequence[str], settings: ReportSettings
) -> Figure:
    """Draw t-SNE maps of embeddings, a panel a method, coloured by true activity.

    Args:
        embeddings: By method; columns class, f0, f1, ...
        titles: Of the methods.
        classes: Names of the class indices.
        settings: Hold the number of steps and the seed.
    """
    from sklearn.manifold import TSNE

    figure = _figure(4.3 * len(embeddings), 4.4)
    axes = figure.subplots(1, len(embeddings), squeeze=False)[0]
    for axis, (name, table) in zip(axes, embeddings.items(), strict=True):
        features = table.filter(regex=r"^f\d+$").to_numpy()
        perplexity = min(30.0, (len(features) - 1) / 3)
        mapping = TSNE(perplexity=perplexity, init="pca", max_iter=settings.tsne_iterations, random_state=settings.seed)
        places = mapping.fit_transform(features)
        for index, activity in enumerate(classes):
            mine = table["class"].to_numpy() == index
            axis.scatter(*places[mine].T, s=6, alpha=0.7, color=COLOURS[index % len(COLOURS)], label=activity)
        axis.set_title(titles[name], fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2, frameon=False)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _say_empty(axis: Axes, text: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center")
