"""Charts: what a reader can choose, and that they show the numbers of the tables."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest

from contrastive_har.pipelines.reporting.drawing import draw_budgets
from contrastive_har.reports import charts
from contrastive_har.reports.answer import best_rows
from contrastive_har.reports.embedding import embed_charts, embed_picture
from contrastive_har.reports.figures import style
from contrastive_har.reports.figures.style import COLOURS, draw_png, empty_figure, is_empty, new_figure
from contrastive_har.reports.maps import place_windows
from contrastive_har.scores.cells import Cell
from contrastive_har.scores.statistics import ReportSettings, read_published, summarise
from tests.scores.examples import CLASSES, SUBJECTS, curves, long_scores, predictions, two_methods
from tests.test_protocols import protocol, row

METHODS = {"simclr": "SimCLR", "random_init": "Random"}
EVALUATIONS = {"linear": "Linear"}
SPLITS = {"paper": "The paper's split"}


@pytest.fixture
def summary() -> pd.DataFrame:
    return summarise(two_methods(), read_published(), ReportSettings(resamples=100))


def choices(chart: charts.Chart) -> dict[str, set[str]]:
    """Return the values of each choice."""
    return {
        name: {trace["meta"][name] for trace in chart["data"] if name in trace["meta"]} for name in chart["choices"]
    }


def test_scores(summary: pd.DataFrame) -> None:
    rows = best_rows(summary, "1 %")
    chart = charts.chart_answer(rows, "paper", METHODS, EVALUATIONS, SPLITS)
    scores, published = chart["data"]
    assert scores["x"] == [round(100 * mean, 2) for mean in rows["mean"]]
    assert published["x"] == [83.53, None]
    assert chart["layout"]["yaxis"]["ticktext"] == ["SimCLR", "Random"]
    lines = charts.chart_label_efficiency(summary, METHODS, EVALUATIONS, SPLITS)
    assert [line["x"] for line in lines["data"]] == [[1, 10], [1, 10]]
    assert choices(lines)["method"] == {"SimCLR", "Random"}
    assert len({(line["marker"]["color"], line["marker"]["symbol"]) for line in lines["data"]}) == 2
    json.dumps(lines, allow_nan=False)


def test_confusion_matrices_as_shares_and_counts() -> None:
    tables = {"simclr": predictions(0, 0.9)}
    chart = charts.chart_confusion_matrices(tables, METHODS, EVALUATIONS, CLASSES, [1, 0])
    assert choices(chart)["labels"] == {"1 % of the labels", "10 % of the labels"}
    shares, counts = chart["data"][:2]
    assert shares["y"] == CLASSES[::-1]
    assert np.sum(shares["z"], axis=1) == pytest.approx([100, 100], abs=0.2)
    assert np.sum(counts["z"]) == 300, "three repeats of a hundred windows"
    rows = tables["simclr"][lambda table: table["label_budget"] == "1 %"]
    assert counts["z"][0][0] == ((rows["true"] == 1) & (rows["predicted"] == 1)).sum()


def test_subjects_are_sorted_by_their_means() -> None:
    scores = two_methods()
    chart = charts.chart_subjects(scores, "1 %", METHODS, EVALUATIONS)
    rows = scores[(scores["metric"] == "macro_f1") & (scores["label_budget"] == "1 %")]
    means = rows[rows["group"] != "all"].groupby("group")["value"].mean().sort_values()
    assert chart["layout"]["xaxis"]["categoryarray"] == [name.removeprefix("subject: ") for name in means.index]


def test_training(summary: pd.DataFrame) -> None:
    table = curves(predictions(0, 0.9))
    chart = charts.chart_training_curves({"simclr": table}, METHODS, EVALUATIONS)
    assert chart["data"][0]["x"] == [1, 2]
    assert chart["data"][0]["y"] == [99, 50]
    single = table[table["epoch"] == 1]
    assert charts.chart_training_curves({"simclr": single}, METHODS, EVALUATIONS) == {}
    history = pd.DataFrame({"repeat": [0, 0, 1], "epoch": [1, 2, 1], "loss": [2.0, 1.0, 3.0], "cluster_nmi": np.nan})
    cells = {Cell("p", "paper", "simclr"): history}
    losses = charts.chart_histories(cells, METHODS, SPLITS, "loss", "loss")
    assert [line["name"] for line in losses["data"]] == ["The paper's split, repeat 1", "The paper's split, repeat 2"]
    assert charts.chart_histories(cells, METHODS, SPLITS, "cluster_nmi", "agreement") == {}


def test_maps_are_coloured_by_activity_or_subject_and_name_each_window() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((40, 3)), columns=["f0", "f1", "f2"])
    table = table.assign(modality="", window=np.arange(30, 70), **{"class": np.arange(40) % 2})
    maps = place_windows({"simclr": table}, ReportSettings(tsne_iterations=250))
    chart = charts.chart_embeddings(maps, METHODS, CLASSES, SUBJECTS)
    assert choices(chart) == {"map": {"SimCLR"}, "colour": {"activity", "subject"}}
    points = {
        colour: [trace for trace in chart["data"] if trace["meta"]["colour"] == colour]
        for colour in ("activity", "subject")
    }
    assert [trace["name"] for trace in points["activity"]] == CLASSES
    assert [trace["name"] for trace in points["subject"]] == ["s1", "s2"]
    for traces in points.values():
        found = {tuple(texts) for trace in traces for texts in trace["customdata"]}
        assert found == {(CLASSES[index % 2], SUBJECTS[30 + index], 30 + index) for index in range(40)}


def test_what_a_page_embeds_is_smaller_and_the_same() -> None:
    chart = {"answer": {"data": [1, 2.5], "layout": {}, "choices": {}}}
    assert json.loads(gzip.decompress(b64decode(embed_charts(chart)))) == chart
    assert embed_charts(chart) == embed_charts(chart)
    figure = new_figure(4, 3)
    figure.subplots().plot([0, 1], color=COLOURS[0])
    picture = draw_png(figure)
    assert len(b64decode(embed_picture(picture).partition(",")[2])) < len(picture)
    assert not is_empty(picture)
    assert is_empty(draw_png(empty_figure("why")))


def _seen_by(kind: str, colour: tuple[float, float, float]) -> np.ndarray:
    """Return a colour as a reader without one kind of cones sees it (Machado et al. 2009, severity 1), linear RGB."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }
    linear = np.array([part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour])
    return np.array(matrices[kind]) @ linear


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_the_first_colours_differ_for_colour_blind_readers(kind: str) -> None:
    seen = [_seen_by(kind, colour) for colour in COLOURS[:7]]
    assert min(np.linalg.norm(a - b) for index, a in enumerate(seen) for b in seen[:index]) > 0.08


def test_budgets_are_compared_among_rows_that_differ_in_nothing_else() -> None:
    short = {"epochs": 1, "batch_size": 64, "learning_rate": 0.1, "keep": "last"}
    objective = {"name": "contrastive", "temperature": 0.5}
    methods = {
        "other": row(objective=objective, budget={**short, "epochs": 9}),
        "short": row(budget=short),
        "long": row(budget={**short, "epochs": 3}),
    }
    scores = long_scores({(name, "linear"): [0.5, 0.6] for name in methods}).assign(label_budget="10 %")
    settings = protocol(methods=methods, compared_with="short")
    summary = summarise(scores.assign(split="p"), read_published(), ReportSettings(resamples=20))
    (axis,) = draw_budgets(summary, settings).axes
    assert [line.get_xdata().tolist() for line in axis.lines] == [[1, 3]]


@pytest.mark.filterwarnings("error")
def test_characters_that_the_first_font_lacks_are_drawn_with_further_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = "\u1d81"  # in STIX, which Matplotlib contains as well

    def draw() -> bytes:
        figure = new_figure(2, 1)
        figure.text(0.5, 0.5, lacking)
        return draw_png(figure)

    monkeypatch.setattr(style, "FURTHER_FONTS", ("No Such Font",))
    with pytest.raises(UserWarning, match="missing from font"):
        draw()
    monkeypatch.setattr(style, "FURTHER_FONTS", ("No Such Font", "STIXGeneral"))
    assert draw()
