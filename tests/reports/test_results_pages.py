"""What the documentation's result tables say is what the scores beside them say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"<!-- scores: (\S+\.csv), (\w+) -->\n((?:\|.*\n)+)")
TRIALS = re.compile(r"<!-- trials: (\S+\.csv), (\w+), (\w+), ([\d.]+) -->\n((?:\|.*\n)+)")
TUNED = re.compile(r"<!-- tuned: (\S+\.csv), (\w+) -->\n((?:\|.*\n)+)")
DIFFERENCES = re.compile(r"<!-- differences: (\S+\.csv), (\w+) -->\n((?:\|.*\n)+)")
PAGES = sorted(
    {
        page
        for page in (ROOT / "docs").rglob("*.md")
        for form in (TABLE, TRIALS, TUNED, DIFFERENCES)
        if form.search(page.read_text())
    }
)
RESULTS = ROOT / "docs/results"
CELL = re.compile(r"(\d+\.\d) ± (\d+\.\d)")
DIFFERENCE = re.compile(r"([+-]?\d+\.\d) ± (\d+\.\d)")
INTERVAL = re.compile(r"(-?\d+\.\d) \((-?\d+\.\d) to (-?\d+\.\d)\)")
SPLITS = {"fixed subjects": "official", "rotation": "subject_wise"}
EVALUATIONS = {
    "linear": ("linear",),
    "linear at a rate of 10": ("linear_as_printed",),
    "fine-tuned": ("fine_tuning", "supervised"),
    "from scratch": ("supervised", "supcon", "fixmatch"),
    "logistic": ("linear",),
    "ridge": ("ridge",),
    "nearest neighbours": ("knn",),
    "names": ("frozen_label_sequence",),
    "unshared names": ("frozen_unshared_names",),
    "linear head": ("frozen_linear",),
    "logistic regression": ("frozen_logistic",),
    "MLP head": ("frozen_mlp",),
    "fitted": ("linear", "ridge", "logistic"),
    "self-trained": ("self_trained",),
    "with copies": ("self_trained_augmented",),
    "fine-tuned; self-trained": ("fine_tuning_self_trained",),
    "macro-F1": (
        *("label_sequence", "whole_names", "random_words", "own_names", "unshared_names", "supervised"),
        *("supervised_mlp", "frozen_label_sequence", "frozen_unshared_names", "frozen_mlp"),
        *("ridge", "boosted_trees", "hierarchical"),
    ),
    **{
        f"{title} {modality}": (f"{name}{'' if modality == 'both' else f'/{modality}'}",)
        for title, name in (("logistic", "linear"), ("ridge", "ridge"))
        for modality in ("inertial", "skeleton", "both")
    },
    **{
        f"{title} {columns}": (f"{name}{'' if columns == 'all three' else '/' + columns.replace(' and ', '-and-')}",)
        for title, name in (("logistic", "linear"), ("ridge", "ridge"))
        for columns in (
            *("accelerometer", "gyroscope", "all three"),
            *("accelerometer and gyroscope", "accelerometer and skeleton", "gyroscope and skeleton"),
        )
    },
}


def method_names(protocol: str) -> dict[str, str]:
    """Names of a protocol's methods by their titles, as rows begin."""
    files = [yaml.safe_load(path.read_text()) for path in ROOT.glob("conf/[!l]*/parameters_*.yml")]
    found = [file[protocol]["methods"] for file in files if "methods" in file.get(protocol, {})]
    methods = [item for methods in found for item in methods.items()]
    names = {method["title"].lower(): name for name, method in methods if "title" in method}
    return {**names, "supervised, from scratch": "supervised"}


def rows(text: str) -> list[list[str]]:
    return [[cell.strip(" *") for cell in line.strip().strip("|").split("|")] for line in text.splitlines()]


def test_every_page_of_results_has_a_table_that_names_its_scores() -> None:
    assert set(RESULTS.glob("*.md")) <= set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_their_scores(page: Path) -> None:
    for file, split, text in TABLE.findall(page.read_text()):
        scores = pd.read_csv(page.parent / file)
        names = method_names(scores["protocol"].iloc[0])
        scores = scores[(scores["split"] == split) & (scores["metric"] == "macro_f1")]
        header, _, *body = rows(text)
        compared = 0
        for title, *cells in body:
            for column, cell in zip(header[1:], cells, strict=False):
                if not (told := CELL.match(cell)):
                    continue
                evaluation, budget = column.split(", ")
                mine = scores[
                    (scores["method"] == names[title.lower()])
                    & scores["evaluation"].isin(EVALUATIONS[evaluation])
                    & (scores["label_budget"] == budget)
                ]["value"]
                assert float(told[1]) == pytest.approx(100 * mine.mean(), abs=0.0501), (title, column)
                assert float(told[2]) == pytest.approx(100 * mine.std(), abs=0.0501), (title, column)
                compared += 1
        assert compared >= len(body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_differences_are_those_of_the_scores_paired_by_repeat(page: Path) -> None:
    """With intervals by a bootstrap of other draws than those of the page."""
    for file, split, text in DIFFERENCES.findall(page.read_text()):
        scores = pd.read_csv(page.parent / file)
        names = method_names(scores["protocol"].iloc[0])
        scores = scores[scores["metric"] == "macro_f1"]
        header, _, *body = rows(text)
        compared = 0
        for title, *cells in body:
            pair = [names.get(part.lower()) for part in title.split(", minus ")]
            for column, cell in zip(header[1:], cells, strict=True):
                if len(pair) != 2 or not set(pair) <= set(scores["method"]) or not (told := INTERVAL.match(cell)):
                    continue
                where, _, budget = column.rpartition(", ")
                mine = scores[(scores["split"] == SPLITS.get(where, split)) & (scores["label_budget"] == budget)]
                if where in EVALUATIONS:
                    mine = mine[mine["evaluation"].isin(EVALUATIONS[where])]
                one, other = (mine[mine["method"] == name].set_index("repeat")["value"] for name in pair)
                values = 100 * (one - other).to_numpy()
                draws = np.random.default_rng(0).choice(values, (20_000, len(values))).mean(1)
                low, high = np.quantile(draws, [0.025, 0.975])
                assert float(told[1]) == pytest.approx(values.mean(), abs=0.0501), (title, column)
                assert (float(told[2]), float(told[3])) == pytest.approx((low, high), abs=0.4), (title, column)
                compared += 1
        assert compared >= len(body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_their_trials(page: Path) -> None:
    for file, split, method, wrong, text in TRIALS.findall(page.read_text()):
        trials = pd.read_csv(page.parent / file)
        chosen = (trials["split"] == split) & (trials["method"] == method) & (trials["wrong_labels"] == float(wrong))
        values = trials[chosen].groupby(["strategy", "labels"])["macro_f1"].agg(["mean", "std"])
        header, _, *body = rows(text)
        numbers = [column for column in header if column.isdigit()]
        assert len(numbers) * len(body) == len(values)
        for strategy, *cells in body:
            for labels, cell in zip(numbers, cells, strict=False):
                mean, deviation = CELL.match(cell).groups()  # type: ignore[union-attr]
                mine = values.loc[strategy.strip("`"), int(labels)]
                assert float(mean) == pytest.approx(100 * mine["mean"], abs=0.0501), (strategy, labels)
                assert float(deviation) == pytest.approx(100 * mine["std"], abs=0.0501), (strategy, labels)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_their_tuned_scores(page: Path) -> None:
    for file, split, text in TUNED.findall(page.read_text()):
        scores = pd.read_csv(page.parent / file)
        names = method_names(scores["protocol"].iloc[0])
        header, _, *body = rows(text)
        scores = scores[(scores["split"] == split) & (scores["metric"] == "macro_f1")]
        compared = set()
        for title, *cells in body:
            whole, _, evaluation = title.rpartition(", ")
            name = names[(whole if evaluation in EVALUATIONS else title).lower()]
            mine = scores[scores["method"] == name]
            mine = mine[mine["evaluation"].isin(EVALUATIONS.get(evaluation, mine["evaluation"].unique()))]
            assert mine["evaluation"].nunique() == 1, title
            compared |= set(mine[["method", "evaluation"]].itertuples(index=False, name=None))
            for column, cell in zip(header[1:], cells, strict=True):
                setting, budget = column.split(", ")
                wide = mine[mine["label_budget"] == budget].pivot(index="repeat", columns="setting", values="value")
                wide["difference"] = wide["tuned"] - wide["untuned"]
                mean, deviation = DIFFERENCE.match(cell.replace("−", "-")).groups()  # type: ignore[union-attr]
                assert float(mean) == pytest.approx(100 * wide[setting].mean(), abs=0.0501), (title, column)
                assert float(deviation) == pytest.approx(100 * wide[setting].std(), abs=0.0501), (title, column)
        assert compared == set(scores[["method", "evaluation"]].itertuples(index=False, name=None))


def test_every_score_is_told_and_says_how_it_came_about() -> None:
    told = "".join(page.read_text() for page in PAGES)
    origins = pd.read_csv(RESULTS / "origins.csv").set_index(["scores", "split", "method"])
    assert origins.index.is_unique
    assert not origins.drop(columns="pretraining_seconds").isna().any().any()
    files = {path for path in RESULTS.glob("*.csv") if path.name != "origins.csv"}
    assert {path.name for path in files} == set(origins.index.get_level_values("scores"))
    for path in files:
        assert path.name in told
        scores = pd.read_csv(path)
        for (split, method), mine in scores.groupby(["split", "method"]):
            assert origins.loc[(path.name, split, method), "repeats"] == mine["repeat"].nunique(), (path.name, method)
