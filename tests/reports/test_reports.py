from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.figure import Figure
from sklearn import metrics as reference

from contrastive_har.reports import figures
from contrastive_har.reports.tables import console_table, in_percent, result_tables
from contrastive_har.reports.tracked import describe_cell, flatten
from contrastive_har.scores import metrics
from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval, read_published, summarise
from contrastive_har.scores.table import CELL, SCORE_COLUMNS, score

LABELS = hnp.arrays(np.int64, st.shared(st.integers(2, 60), key="n"), elements=st.integers(0, 4))


@given(true=LABELS, predicted=LABELS)
def test_metrics_are_scikit_learns(true: np.ndarray, predicted: np.ndarray) -> None:
    confusion = metrics.confusion_matrix(true, predicted, 5)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(true, predicted, labels=range(5)))
    kept = {"zero_division": 0.0}
    assert metrics.macro_f1(confusion) == pytest.approx(reference.f1_score(true, predicted, average="macro", **kept))
    assert metrics.weighted_f1(confusion) == pytest.approx(
        reference.f1_score(true, predicted, average="weighted", **kept)
    )
    assert metrics.accuracy(confusion) == pytest.approx(reference.accuracy_score(true, predicted))
    assert metrics.accuracy(confusion) == pytest.approx(reference.f1_score(true, predicted, average="micro"))
    if len(set(true) | set(predicted)) > 1:
        assert metrics.cohen_kappa(confusion) == pytest.approx(reference.cohen_kappa_score(true, predicted))


def test_kappa_of_a_single_class_is_undefined() -> None:
    assert np.isnan(metrics.cohen_kappa(np.array([[5, 0], [0, 0]])))


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


CLASSES = ["rest", "walk, (fast) & down"]
METHODS = {"simclr": "SimCLR", "random_init": "Random"}
EVALUATIONS = {"linear": "Linear evaluation"}
SPLIT_TITLES = {"paper": "The paper's split"}


def predictions(seed: int, right: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for repeat in range(3):
        for fraction in (0.01, 0.1):
            true = rng.integers(0, 2, 100)
            predicted = np.where(rng.random(100) < right, true, 1 - true)
            columns = {"window": np.arange(100), "true": true, "predicted": predicted, "probability": 0.9}
            rows.append(pd.DataFrame(columns).assign(repeat=repeat, evaluation="linear", label_fraction=fraction))
    return pd.concat(rows)


def curves(table: pd.DataFrame) -> pd.DataFrame:
    keys = table[["repeat", "evaluation", "label_fraction"]].drop_duplicates()
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "loss": [2.0, 1.0], "role": "test", "macro_f1": [0.99, 0.5], "accuracy": [0.9, 0.98]}
    )
    return keys.merge(epochs, how="cross")


SUBJECTS = pd.Series(["s1"] * 50 + ["s2"] * 50)


def scored(method: str, seed: int, right: float) -> pd.DataFrame:
    table = predictions(seed, right)
    names = {"dataset": "uci_har", "protocol": "semi_supervised", "split": "paper", "method": method}
    return score(table, curves(table), SUBJECTS, CLASSES, **names)


@pytest.fixture
def scores() -> pd.DataFrame:
    return pd.concat([scored("simclr", 0, 0.9), scored("random_init", 1, 0.7)], ignore_index=True)


@pytest.fixture
def summary(scores: pd.DataFrame) -> pd.DataFrame:
    return summarise(scores, read_published(), ReportSettings())


def test_scores_have_every_metric_class_and_subject(scores: pd.DataFrame) -> None:
    assert list(scores.columns) == SCORE_COLUMNS
    table = predictions(0, 0.9)
    mine = table[(table["repeat"] == 1) & (table["label_fraction"] == 0.1)]
    cell = scores[(scores["method"] == "simclr") & (scores["repeat"] == 1) & (scores["label_fraction"] == 0.1)]
    values = cell.set_index(["metric", "group"])["value"]
    by_class = reference.f1_score(mine["true"], mine["predicted"], average=None)
    assert values["macro_f1", "all"] == pytest.approx(by_class.mean())
    assert [values["f1", "class: rest"], values["f1", "class: walk, (fast) & down"]] == pytest.approx(list(by_class))
    first = mine[mine["window"] < 50]
    assert values["accuracy", "subject: s1"] == pytest.approx((first["true"] == first["predicted"]).mean())
    assert values["paper_style_macro_f1", "all"] == 0.99
    assert values["paper_style_micro_f1", "all"] == 0.98
    assert not cell.duplicated([*CELL, "repeat", "metric", "group"]).any()


def test_summary_puts_the_published_number_beside_ours(scores: pd.DataFrame, summary: pd.DataFrame) -> None:
    row = summary[
        (summary["method"] == "simclr") & (summary["label_fraction"] == 0.01) & (summary["metric"] == "macro_f1")
    ].iloc[0]
    values = scores[
        (scores["method"] == "simclr")
        & (scores["label_fraction"] == 0.01)
        & (scores["metric"] == "macro_f1")
        & (scores["group"] == "all")
    ]["value"]
    assert row["repeats"] == 3
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std())
    assert row["low"] <= row["mean"] <= row["high"]
    assert row["published"] == pytest.approx(0.8353)
    assert row["difference"] == pytest.approx(row["mean"] - 0.8353)
    assert summary[summary["method"] == "random_init"]["published"].isna().all()


def test_published_numbers_are_those_of_the_paper() -> None:
    published = read_published()
    table_2 = published[published["protocol"] == "semi_supervised"]
    cells = table_2.set_index(["dataset", "method", "evaluation", "label_fraction"])["published"]
    assert cells["uci_har", "clusterclhar", "linear", 0.01] == pytest.approx(0.8878)
    assert cells["uci_har", "clusterclhar", "fine_tuning", 0.1] == pytest.approx(0.9591)
    assert cells["uci_har", "supervised", "supervised", 0.1] == pytest.approx(0.9547)
    assert cells["motion_sense", "nnclr", "fine_tuning", 0.1] == pytest.approx(0.9640)
    assert len(published) == 3 * (5 * 4 + 2) + (3 * 7 - 2) + 2 + 3 * (6 + 6 + 9), (
        "Table II; Table I with its two gaps; the authors' groups; Tables III to V"
    )
    assert cells_of(published, "ablation_clustering")["uci_har", "birch"] == pytest.approx(0.9053)
    assert cells_of(published, "ablation_clusters")["usc_had", "clusters_8"] == pytest.approx(0.7761)
    assert cells_of(published, "ablation_confidence")["motion_sense", "confidence_90_of_16"] == pytest.approx(0.8748)
    assert published["source"].notna().all()


def cells_of(published: pd.DataFrame, protocol: str) -> pd.Series:
    return published[published["protocol"] == protocol].set_index(["dataset", "method"])["published"]


def test_result_tables_and_console(summary: pd.DataFrame) -> None:
    splits = {"paper": {"title": "The paper's split", "leak_free": False}}
    (table,) = result_tables(summary, splits, METHODS, EVALUATIONS)
    assert table.fractions == ["1 %", "10 %"]
    assert [row[0] for row in table.rows] == ["SimCLR", "Random"]
    assert table.rows[0][2][0]["published"] == "83.5"
    assert table.rows[1][2][0]["published"] == "–"
    assert table.rows[0][2][0]["paper_style_macro_f1"] == "99.0"
    text = console_table(summary)
    assert "1 %" in text
    assert text.count("±") == 4
    assert in_percent(float("nan")) == "–"
    assert in_percent(0.0123, signed=True) == "+1.2"


def test_tracked_cell(scores: pd.DataFrame) -> None:
    mine = scores[(scores["method"] == "simclr") & (scores["label_fraction"] == 0.01)]
    table = predictions(0, 0.9)
    history = pd.DataFrame({"repeat": [0, 0], "epoch": [1, 2], "loss": [2.0, 1.0], "cluster_nmi": [0.5, np.nan]})
    run = describe_cell(
        cell=mine.iloc[0][CELL].to_dict(),
        scores=mine,
        predictions=table[table["label_fraction"] == 0.01],
        curves=curves(table)[lambda f: f["label_fraction"] == 0.01],
        history=history,
        parameters={"seed": 1, "method": {"temperature": 0.1}},
        classes=CLASSES,
        digest="abc",
        source="somewhere",
    )
    assert run.name == "semi_supervised / paper / simclr / linear / 1 %"
    assert run.parameters["method.temperature"] == "0.1"
    points = {(name, step): value for name, value, step in run.metrics}
    assert points["pretraining_loss_repeat_0_by_epoch", 2] == 1.0
    assert points["cluster_nmi_repeat_0_by_epoch", 1] == 0.5
    assert ("cluster_nmi_repeat_0_by_epoch", 2) not in points
    assert points["test_macro_f1_repeat_2_by_epoch", 1] == 0.99
    repeats = [points["macro_f1_by_repeat", repeat] for repeat in range(3)]
    assert points["macro_f1_mean", 0] == pytest.approx(np.mean(repeats))
    assert ("class_f1/rest", 0) in points
    assert ("class_f1/walk_ _fast_ _ down", 0) in points, "tracking servers refuse other characters"
    assert ("subject_accuracy/s1", 0) in points
    assert flatten({"a": {"b": [1]}, "c": None}) == {"a.b": "[1]", "c": "None"}


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("title", ["M{}", "Strong, one resampling for the whole batch, number {}"])
def test_a_long_legend_stays_inside_its_figure(panels: int, title: str) -> None:
    titles = {str(number): title.format(number) for number in range(15)}
    splits = {str(number): "S" for number in range(panels)}
    cells = [(split, method, share) for split in splits for method in titles for share in (0.01, 0.1)]
    table = pd.DataFrame(cells, columns=["split", "method", "label_fraction"])
    table = table.assign(metric="macro_f1", evaluation="e", mean=0.5, low=0.4, high=0.6)
    figure = figures.draw_label_efficiency(table, titles, {"e": "Linear evaluation"}, splits)
    figure.canvas.draw()
    (legend,) = figure.legends
    inside = legend.get_window_extent()
    assert figure.bbox.x0 <= inside.x0 < inside.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= inside.y0
    assert all(axis.get_window_extent().height > 200 for axis in figure.axes), "a plot is left"


def test_figures_are_drawn(scores: pd.DataFrame, summary: pd.DataFrame) -> None:
    history = pd.DataFrame({"repeat": [0, 1], "epoch": [1, 1], "loss": [2.0, 1.0], "cluster_nmi": [0.5, 0.4]})
    nothing = history.iloc[:0]
    histories = {"paper.simclr": history, "paper.random_init": nothing}
    rng = np.random.default_rng(0)
    embeddings = pd.DataFrame(rng.standard_normal((40, 4)), columns=["f0", "f1", "f2", "f3"])
    embeddings = embeddings.assign(**{"class": rng.integers(0, 2, 40)})
    drawn = {
        "efficiency": figures.draw_label_efficiency(summary, METHODS, EVALUATIONS, SPLIT_TITLES),
        "loss": figures.draw_loss_curves(histories, METHODS, SPLIT_TITLES),
        "agreement": figures.draw_cluster_agreement(histories, METHODS, SPLIT_TITLES),
        "empty": figures.draw_cluster_agreement({"paper.random_init": nothing}, METHODS, SPLIT_TITLES),
        "confusion": figures.draw_confusion_matrices(
            {"simclr": predictions(0, 0.9)}, 0.01, METHODS, EVALUATIONS, CLASSES
        ),
        "subjects": figures.draw_subjects(scores, 0.01, METHODS, EVALUATIONS),
        "embeddings": figures.draw_embeddings({"simclr": embeddings}, METHODS, CLASSES, ReportSettings()),
        "views": figures.draw_views({"raw": rng.standard_normal((2, 10, 3))}, ["a", "b"], ["x", "y", "z"], 50),
    }
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    labels = drawn["efficiency"].axes[0].get_legend_handles_labels()[1]
    assert labels == ["SimCLR, linear evaluation", "Random, linear evaluation"]
    assert [text.get_text() for text in drawn["empty"].axes[0].texts] == [
        "nothing to show: no method of this run has it"
    ]
    shown = [float(text.get_text()) for text in drawn["confusion"].axes[0].texts]
    assert sum(shown) == pytest.approx(200, abs=2), "rows are percentages"
