"""Scores of predictions, their mean and spread, and the published numbers beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval, read_published, summarise
from contrastive_har.scores.table import CELL, SCORE_COLUMNS, score
from tests.scores.examples import CLASSES, SUBJECTS, predictions, two_methods


@pytest.fixture
def scores() -> pd.DataFrame:
    return two_methods()


@pytest.fixture
def summary(scores: pd.DataFrame) -> pd.DataFrame:
    return summarise(scores, read_published(), ReportSettings())


def test_bootstrap_interval_covers_the_mean_of_a_known_distribution() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(3, 1, 40), 0.95, 500, rng)
        covered += low <= 3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_bootstrap_interval_of_few_values() -> None:
    rng = np.random.default_rng(0)
    assert all(np.isnan(bootstrap_interval(np.array([0.5]), 0.95, 100, rng)))
    low, high = bootstrap_interval(np.array([0.4, 0.6]), 0.95, 10_000, rng)
    assert (low, high) == (0.4, 0.6)


def test_bootstrap_interval_leaves_out_both_tails() -> None:
    values = np.random.default_rng(1).normal(3, 1, 12)
    low, high = bootstrap_interval(values, 0.8, 500, np.random.default_rng(2))
    means = np.random.default_rng(2).choice(values, (500, 12)).mean(1)
    assert np.mean(means < low) == pytest.approx(0.1, abs=0.003)
    assert np.mean(means > high) == pytest.approx(0.1, abs=0.003)


def repeated(method: str, count: int) -> pd.DataFrame:
    """Scores of one cell; every method's are the same."""
    cell = dict(zip(CELL, ("d", "p", "s", method, "linear", "1 %"), strict=True))
    values = np.random.default_rng(3).normal(0.8, 0.1, count)
    return pd.DataFrame({**cell, "repeat": range(count), "metric": "macro_f1", "group": "all", "value": values})


def intervals(seed: int) -> list[tuple[float, float]]:
    scores = pd.concat([repeated("a", 12), repeated("b", 12)])
    summary = summarise(scores, read_published(), ReportSettings(seed=seed, resamples=50))
    return list(zip(summary["low"], summary["high"], strict=True))


def test_each_cell_has_resamples_of_its_own_that_follow_from_the_seed() -> None:
    (first, second), again, other = intervals(0), intervals(0), intervals(1)
    assert [first, second] == again
    assert first != second
    assert first != other[0]


@pytest.mark.filterwarnings("error")
def test_the_spread_of_few_repeats() -> None:
    scores = pd.concat([repeated("one", 1), repeated("two", 2)])
    one, two = summarise(scores, read_published(), ReportSettings(resamples=50))["sd"]
    assert np.isnan(one)
    assert two == pytest.approx(np.std(repeated("two", 2)["value"], ddof=1))


def test_scores_have_every_metric_class_and_subject(scores: pd.DataFrame) -> None:
    assert list(scores.columns) == SCORE_COLUMNS
    table = predictions(0, 0.9)
    mine = table[(table["repeat"] == 1) & (table["label_budget"] == "10 %")]
    cell = scores[(scores["method"] == "simclr") & (scores["repeat"] == 1) & (scores["label_budget"] == "10 %")]
    values = cell.set_index(["metric", "group"])["value"]
    by_class = reference.f1_score(mine["true"], mine["predicted"], average=None)
    assert values["macro_f1", "all"] == pytest.approx(by_class.mean())
    assert [values["f1", "class: rest"], values["f1", "class: walk, (fast) & down"]] == pytest.approx(list(by_class))
    first = mine[mine["window"] < 50]
    assert values["accuracy", "subject: s1"] == pytest.approx((first["true"] == first["predicted"]).mean())
    assert values["paper_style_macro_f1", "all"] == 0.99
    assert values["paper_style_micro_f1", "all"] == 0.98
    assert values["late_rise", "all"] == pytest.approx(0.5 - 0.99)
    assert not cell.duplicated([*CELL, "repeat", "metric", "group"]).any()


def test_summary_puts_the_published_number_beside_ours(scores: pd.DataFrame, summary: pd.DataFrame) -> None:
    row = summary[
        (summary["method"] == "simclr") & (summary["label_budget"] == "1 %") & (summary["metric"] == "macro_f1")
    ].iloc[0]
    values = scores[
        (scores["method"] == "simclr")
        & (scores["label_budget"] == "1 %")
        & (scores["metric"] == "macro_f1")
        & (scores["group"] == "all")
    ]["value"]
    assert row["repeats"] == 3
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std())
    assert row["low"] <= row["mean"] <= row["high"]
    assert row["published"] == pytest.approx(0.8353)
    assert row["difference"] == pytest.approx(row["mean"] - 0.8353)
    unpublished = summary[summary["method"] == "random_init"]
    assert len(unpublished)
    assert unpublished["published"].isna().all()
    assert list(dict.fromkeys(summary["method"])) == list(dict.fromkeys(scores["method"])), "in the order of the scores"


def test_a_published_number_that_is_listed_twice_is_refused(scores: pd.DataFrame) -> None:
    twice = pd.concat([read_published()] * 2)
    with pytest.raises(pd.errors.MergeError):
        summarise(scores, twice, ReportSettings(resamples=10))


def test_published_numbers_are_those_of_the_paper() -> None:
    published = read_published()
    table_2 = published[published["protocol"] == "semi_supervised"]
    cells = table_2.set_index(["dataset", "method", "evaluation", "label_budget"])["published"]
    assert cells["uci_har", "clusterclhar", "linear", "1 %"] == pytest.approx(0.8878)
    assert cells["uci_har", "clusterclhar", "fine_tuning", "10 %"] == pytest.approx(0.9591)
    assert cells["uci_har", "supervised", "supervised", "10 %"] == pytest.approx(0.9547)
    assert cells["motion_sense", "nnclr", "fine_tuning", "10 %"] == pytest.approx(0.9640)
    assert len(published) == 3 * (5 * 4 + 2) + (3 * 7 - 2) + 2 + 3 * (6 + 6 + 9) + 3 * 7 + 7 * 9 * 2, (
        "Table II; Table I with its two gaps; the authors' groups; Tables III to V; CMC-CMKM's three columns; "
        "SHARE's six data sets, UCI-HAR twice"
    )
    several = published[published["protocol"] == "multimodal"].set_index(["split", "method", "evaluation", "metric"])
    assert several["published"]["published", "cmc", "linear", "accuracy"] == pytest.approx(0.9604)
    assert several["published"]["cross_scene", "simclr", "linear/skeleton", "macro_f1"] == pytest.approx(0.6780)
    spelled = published[published["protocol"].str.startswith("label_structures")]
    names = spelled.set_index(["dataset", "method", "evaluation", "metric"])["published"]
    assert names["uci_har", "share", "label_sequence", "accuracy"] == pytest.approx(0.960)
    assert names["harth", "share", "label_sequence", "macro_f1"] == pytest.approx(0.593)
    assert names["wisdm_watch", "rocket", "ridge", "macro_f1"] == pytest.approx(0.767), "as printed"
    assert cells_of(published, "ablation_clustering")["uci_har", "birch"] == pytest.approx(0.9053)
    assert cells_of(published, "ablation_clusters")["usc_had", "clusters_8"] == pytest.approx(0.7761)
    assert cells_of(published, "ablation_confidence")["motion_sense", "confidence_90_of_16"] == pytest.approx(0.8748)
    assert published["source"].notna().all()


NAN = float("nan")


def cells_of(published: pd.DataFrame, protocol: str) -> pd.Series:
    return published[published["protocol"] == protocol].set_index(["dataset", "method"])["published"]


@pytest.mark.parametrize(
    ("epochs", "values", "roles", "rate", "rise"),
    [
        ([1, 2, 3, 4], [0.1, 0.4, 0.9, 0.7], ["test"] * 4, 0.1, 0.3),
        ([12, 24], [0.5, 0.8], ["test"] * 2, 0.1, 0.3),
        ([4, 2, 4, 2], [0.9, 0.8, 0.2, 0.1], ["validation", "validation", "test", "test"], 0.1, 0.1),
        ([3], [0.5], ["test"], 0.1, None),
        ([1, 2], [0.5, 0.8], ["test"] * 2, NAN, None),
        ([1, 2, 3, 4, 5, 6], [0.1, 0.2, 0.3, 0.4, 0.7, 0.9], ["test"] * 6, [NAN, NAN, 0.1, 0.1, 0.1, 0.1], 0.5),
        ([2, 4, 6], [0.1, 0.2, 0.3], ["test"] * 3, [NAN, NAN, 0.1], None),
    ],
)
def test_the_rise_in_the_second_half_of_training(
    epochs: list[int], values: list[float], roles: list[str], rate: float | list[float], rise: float | None
) -> None:
    """On validation windows if there are any; none where nothing was trained or scored in the first half.

    Of the last round of self-training: those before have no learning rate.
    """
    table = predictions(0, 0.9).query("repeat == 0 and label_budget == '1 %'")
    curve = pd.DataFrame({"epoch": epochs, "macro_f1": values, "role": roles, "accuracy": 0.5, "learning_rate": rate})
    curve = curve.assign(evaluation="linear", label_budget="1 %", repeat=0)
    names = {"dataset": "uci_har", "protocol": "semi_supervised", "split": "paper", "method": "m"}
    found = score(table, curve, SUBJECTS, CLASSES, **names).query("metric == 'late_rise'")["value"].tolist()
    assert found == ([] if rise is None else [pytest.approx(rise)])
