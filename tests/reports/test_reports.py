from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from contrastive_har.reports import figures
from contrastive_har.reports.maps import place_windows
from contrastive_har.reports.tables import console_table, describe_budget, in_percent, result_tables
from contrastive_har.reports.tracked import CellResults, describe_row, flatten, name_cell, trackable
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.statistics import ReportSettings, read_published, summarise
from tests.scores.examples import CLASSES, curves, predictions, scored, two_methods

METHODS = {"simclr": "SimCLR", "random_init": "Random"}
EVALUATIONS = {"linear": "Linear evaluation"}
SPLIT_TITLES = {"paper": "The paper's split"}


@pytest.fixture
def scores() -> pd.DataFrame:
    return two_methods()


@pytest.fixture
def summary(scores: pd.DataFrame) -> pd.DataFrame:
    return summarise(scores, read_published(), ReportSettings())


def test_result_tables_and_console(summary: pd.DataFrame) -> None:
    splits = {"paper": {"title": "The paper's split", "leak_free": False, "held_out": "none"}}
    (table,) = result_tables(summary, splits, METHODS, EVALUATIONS)
    assert table.budgets == ["1 % of the labels", "10 % of the labels"]
    assert [row[0] for row in table.rows] == ["SimCLR", "Random"]
    assert table.rows[0][2][0]["published"] == "83.5"
    assert table.rows[1][2][0]["published"] == "–"
    assert table.rows[0][2][0]["paper_style_macro_f1"] == "99.0"
    assert table.sequences
    assert table.rows[1][2][0]["sequence_macro_f1"] == "100.0"
    text = console_table(summary)
    assert "1 %" in text
    assert text.count("±") == 4
    assert text.index("1 %") < text.index("10 %"), "the smallest first"
    assert in_percent(float("nan")) == "–"
    assert in_percent(0.0123, signed=True) == "+1.2"


def results() -> CellResults:
    """Return what is known of one method on one split."""
    table = predictions(0, 0.9)
    history = pd.DataFrame({"repeat": [0, 0], "epoch": [1, 2], "loss": [2.0, 1.0], "cluster_nmi": [0.5, np.nan]})
    return CellResults(
        scores=scored("simclr", 0, 0.9),
        predictions=table,
        curves=curves(table),
        history=history,
        classes=CLASSES,
        source="somewhere",
    )


def test_results_are_divided_into_the_cells_of_the_table() -> None:
    whole = results()
    divided = {row["label_budget"]: (row, part) for row, part in whole.rows()}
    assert list(divided) == ["1 %", "10 %"]
    for budget, (row, part) in divided.items():
        assert row == {
            "dataset": "uci_har",
            "protocol": "semi_supervised",
            "split": "paper",
            "method": "simclr",
            "evaluation": "linear",
            "label_budget": budget,
        }
        for name in ("scores", "predictions", "curves"):
            table = getattr(whole, name)
            pd.testing.assert_frame_equal(getattr(part, name), table[table["label_budget"] == budget])
        assert part.history is whole.history


def test_tracked_cell() -> None:
    row, of_row = next(iter(results().rows()))
    parameters = {"seed": 1, "objective": {"temperature": 0.1}}
    settings = ReportSettings(resamples=100)
    of_cell = summarise(of_row.scores, read_published(), settings)
    name = name_cell("SimCLR", "Linear evaluation", "1 %", "Unseen subjects")
    run = describe_row(name, row, of_row, of_cell, parameters)
    assert run.name == "SimCLR · linear evaluation · 1 % · unseen subjects"
    assert [metric for metric, _, _ in run.metrics[:3]] == ["macro_f1", "macro_f1_low", "macro_f1_high"]
    assert run.tags == row
    assert run.parameters == {"seed": "1", "objective.temperature": "0.1", **row}
    assert (run.dataset, run.source) == ("uci_har", "somewhere")
    assert list(run.figures) == ["confusion_matrix"]
    points = {(name, step): value for name, value, step in run.metrics}
    assert points["pretraining_loss_repeat_0_by_epoch", 2] == 1.0
    assert points["cluster_nmi_repeat_0_by_epoch", 1] == 0.5
    assert ("cluster_nmi_repeat_0_by_epoch", 2) not in points
    assert points["test_macro_f1_repeat_2_by_epoch", 1] == 0.99
    repeats = [points["macro_f1_by_repeat", repeat] for repeat in range(3)]
    assert points["macro_f1", 0] == pytest.approx(np.mean(repeats))
    assert points["macro_f1_low", 0] <= points["macro_f1", 0] <= points["macro_f1_high", 0]
    assert points["macro_f1_sd", 0] == pytest.approx(np.std(repeats, ddof=1))
    assert ("class_f1/rest", 0) in points
    assert ("class_f1/walk_.2c_ _.28_fast_.29_ _.26_ down", 0) in points, "tracking servers refuse other characters"
    assert ("subject_accuracy/s1", 0) in points
    assert flatten({"a": {"b": [1]}, "c": None}) == {"a.b": "[1]", "c": "None"}

    point = describe_row(name, row, of_row, of_cell, parameters, in_full=False)
    assert not point.figures
    assert "pretraining_loss_repeat_0_by_epoch" not in {name for name, _, _ in point.metrics}
    assert set(point.metrics) <= set(run.metrics)


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("title", ["M{}", "Strong, one resampling for the whole batch, number {}"])
def test_a_long_legend_stays_inside_its_figure(panels: int, title: str) -> None:
    titles = {str(number): title.format(number) for number in range(15)}
    splits = {str(number): "S" for number in range(panels)}
    cells = [(split, method, budget) for split in splits for method in titles for budget in ("1 %", "10 %")]
    table = pd.DataFrame(cells, columns=["split", "method", "label_budget"])
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
    trained, untrained = (Cell("semi_supervised", "paper", method) for method in METHODS)
    histories = {trained: history, untrained: nothing}
    rng = np.random.default_rng(0)
    embeddings = pd.DataFrame(rng.standard_normal((40, 4)), columns=["f0", "f1", "f2", "f3"]).assign(modality="")
    embeddings = embeddings.assign(**{"class": rng.integers(0, 2, 40)})
    drawn = {
        "efficiency": figures.draw_label_efficiency(summary, METHODS, EVALUATIONS, SPLIT_TITLES),
        "loss": figures.draw_loss_curves(histories, METHODS, SPLIT_TITLES),
        "agreement": figures.draw_cluster_agreement(histories, METHODS, SPLIT_TITLES),
        "empty": figures.draw_cluster_agreement({untrained: nothing}, METHODS, SPLIT_TITLES),
        "confusion": figures.draw_confusion_matrices(
            {"simclr": predictions(0, 0.9)}, "1 %", METHODS, EVALUATIONS, CLASSES
        ),
        "subjects": figures.draw_subjects(scores, "1 %", METHODS, EVALUATIONS),
        "embeddings": figures.draw_embeddings(
            place_windows({"simclr": embeddings}, ReportSettings()), METHODS, CLASSES
        ),
    }
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    labels = drawn["efficiency"].axes[0].get_legend_handles_labels()[1]
    assert labels == ["SimCLR, linear evaluation", "Random, linear evaluation"]
    assert [text.get_text() for text in drawn["empty"].texts] == ["no method of this run records it"]
    shown = [float(text.get_text()) for text in drawn["confusion"].axes[0].texts]
    assert sum(shown) == pytest.approx(200, abs=2), "rows are percentages"
    assert len(drawn["loss"].axes) == 1, "a panel per method that was trained"


def test_label_budgets_of_different_kinds_have_panels_of_their_own(summary: pd.DataFrame) -> None:
    few = summary.assign(label_budget=summary["label_budget"].map({"1 %": "5 per class", "10 %": "10 per class"}))
    both = pd.concat([summary, few])
    figure = figures.draw_label_efficiency(both, METHODS, EVALUATIONS, SPLIT_TITLES)
    ticks = [[label.get_text() for label in axis.get_xticklabels()] for axis in figure.axes]
    assert ticks == [["1", "10"], ["5", "10"]]
    assert [axis.get_xlabel() for axis in figure.axes] == ["labelled windows (%)", "labelled windows per class"]
    words = {
        "5 %": "5 % of the labels",
        "5 per class": "5 labels per class",
        "1 per class": "1 label per class",
        "long tail 50": "labels in a long tail 50",
        "25 % of subjects": "labels of 25 % of the subjects",
        "without walk (fast)": "no labels of walk (fast)",
    }
    assert {name: describe_budget(name) for name in words} == words
    assert [trackable(name) for name in words] == [
        *("5_percent", "5 per class", "1 per class", "long tail 50"),
        *("25_percent of subjects", "without walk _.28_fast_.29_"),
    ]


def test_a_label_budget_without_a_size_is_on_no_axis(summary: pd.DataFrame) -> None:
    names = {"1 %": "without rest", "10 %": "25 % of subjects"}
    figure = figures.draw_label_efficiency(
        summary.assign(label_budget=summary["label_budget"].map(names)), METHODS, EVALUATIONS, SPLIT_TITLES
    )
    (axis,) = figure.axes
    assert axis.get_xlabel() == "labelled subjects (%)"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["25"]
    figure = figures.draw_label_efficiency(
        summary[summary["label_budget"] == "1 %"].assign(label_budget="without rest"),
        METHODS,
        EVALUATIONS,
        SPLIT_TITLES,
    )
    assert [text.get_text() for text in figure.texts] == ["no label budget of this run has a size"]


def test_every_label_budget_has_columns_in_the_tables(summary: pd.DataFrame) -> None:
    names = {"1 %": "without rest", "10 %": "25 % of subjects"}
    other = summary.assign(label_budget=summary["label_budget"].map(names))
    splits = {"paper": {"title": "The paper's split", "leak_free": False, "held_out": "none"}}
    (table,) = result_tables(other, splits, METHODS, EVALUATIONS)
    assert table.budgets == ["labels of 25 % of the subjects", "no labels of rest"]
    text = console_table(other)
    assert text.index("25 % of subjects") < text.index("without rest")
