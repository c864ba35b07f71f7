"""Words in the report: the order of activities, their colours, tables and the graph."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from contrastive_har.models.heads.words import Vocabulary
from contrastive_har.reports import figures
from contrastive_har.reports.figures.style import COLOURS
from contrastive_har.reports.maps import place_windows
from contrastive_har.reports.words import common_words, neighbours, word_tables
from contrastive_har.scores.statistics import ReportSettings

DOORS = ("open door", "clean table", "close door", "drink from cup", "open fridge", "close fridge", "open door 2")
BALLS = ("kick soccer ball", "walk", "eat soup", "play tennis ball", "eat chips", "walk upstairs", "eat pasta", "sit")


def ordered(classes: tuple[str, ...]) -> list[str]:
    return [classes[index] for index in neighbours(Vocabulary.of(classes, {}))]


def test_names_that_share_words_are_neighbours() -> None:
    order = ordered(BALLS)
    for word in ("eat", "ball", "walk"):
        places = [place for place, name in enumerate(order) if word in name.split()]
        assert places == list(range(places[0], places[0] + len(places))), word
    doors = ordered(DOORS)
    shared = [bool(set(first.split()) & set(second.split())) for first, second in pairwise(doors)]
    assert sum(shared) == 4, "five names in a chain of shared words, and two that share none"
    assert abs(doors.index("open door") - doors.index("open door 2")) == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(tuple), min_size=2, unique=True))
def test_the_order_has_every_class_once_and_is_always_the_same(names: list[tuple[str, ...]]) -> None:
    order = neighbours(Vocabulary(tuple(names)))
    assert sorted(order) == list(range(len(names)))
    assert neighbours(Vocabulary(tuple(names))) == order


def test_a_colour_is_the_rarest_shared_word_or_else_the_first() -> None:
    words = dict(zip(DOORS, common_words(Vocabulary.of(DOORS, {})), strict=True))
    assert words == {
        "open door": "open",  # both in three names: the first of them
        "clean table": "clean",
        "close door": "close",
        "drink from cup": "drink",
        "open fridge": "fridge",
        "close fridge": "close",
        "open door 2": "open",
    }


def recalls(values: dict[tuple[str, str, str], list[float]]) -> pd.DataFrame:
    rows = [
        {"method": method, "evaluation": "e", "label_budget": budget, "repeat": repeat, "word": word, "recall": value}
        for (method, budget, word), of_row in values.items()
        for repeat, value in enumerate(of_row)
    ]
    return pd.DataFrame(rows)


def test_tables_have_mean_recalls_with_the_fewest_labels() -> None:
    table = recalls(
        {
            ("share", "1 %", "open"): [0.5, 0.7],
            ("share", "1 %", "door"): [np.nan, 0.25],
            ("share", "5 %", "open"): [1.0, 1.0],
            ("cnn", "1 %", "door"): [np.nan, np.nan],
        }
    )
    methods, evaluations = {"cnn": "CNN", "share": "SHARE"}, {"e": "From scratch"}
    (found,) = word_tables({"Unseen": table}, ["open", "door"], "1 %", methods, evaluations)
    assert found.title == "Unseen"
    assert found.rows == [("SHARE, from scratch", ["60.0", "25.0"]), ("CNN, from scratch", ["–", "–"])]
    assert word_tables({}, [], "1 %", methods, evaluations) == []


def labels(axis: Axes) -> dict[float, str]:
    """Labels of the vertical axis by their places."""
    return dict(zip(axis.get_yticks(), (label.get_text() for label in axis.get_yticklabels()), strict=True))


def test_the_graph_has_a_line_for_each_word_of_each_name() -> None:
    activities = ["walk", "walk upstairs", "sit", "sit down"]
    names = [("walk",), ("walk", "upstairs"), ("sit",), ("sit", "down")]
    axis, other = figures.draw_word_graph(activities, names).axes
    lines = {
        (labels(axis)[line.get_ydata()[0]], labels(other)[line.get_ydata()[1]], to_hex(line.get_color()))
        for line in axis.lines
    }
    assert {(activity, word.partition(" (")[0]) for activity, word, _ in lines} == {
        (activity, word) for activity, name in zip(activities, names, strict=True) for word in name
    }
    assert len(axis.lines) == len(lines) == 6
    colours = {word: colour for _, word, colour in lines}
    assert set(colours) == {"walk (2)", "upstairs", "sit (2)", "down"}
    assert colours["upstairs"] == colours["down"]
    assert len(set(colours.values())) == 3, "one for each shared word, and grey"
    assert list(labels(axis).values()) == activities
    assert axis.get_ylim() == other.get_ylim()
    assert axis.get_ylim()[0] > axis.get_ylim()[1], "the first is at the top"


@pytest.mark.parametrize("count", [12, 18])
def test_texts_of_the_graph_do_not_overlap(count: int) -> None:
    names = [("play", f"instrument{index}", "very", "loudly") for index in range(count)]
    figure = figures.draw_word_graph([" ".join(name) for name in names], names)
    figure.draw_without_rendering()
    for axis in figure.axes:
        boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(below.y1 <= above.y0 for above, below in pairwise(boxes))


def test_maps_have_a_colour_for_each_word_and_a_marker_for_each_activity() -> None:
    classes = ["sit", "walk", "walk upstairs", "walk downstairs"]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((40, 3)), columns=["f0", "f1", "f2"])
    table = table.assign(modality="", **{"class": np.arange(40) % 4})
    maps = {f"m{number}": table for number in range(6)}
    titles = {name: name.upper() for name in maps}
    words = ["sit", "walk", "walk", "walk"]
    figure = figures.draw_embeddings(place_windows(maps, ReportSettings(tsne_iterations=250)), titles, classes, words)
    figure.draw_without_rendering()
    shown = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in shown] == list(titles.values())
    assert len({axis.get_subplotspec().rowspan.start for axis in shown}) == 2, "four in a row"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["walk", "walk upstairs", "walk downstairs", "sit"]
    points = {points.get_label(): points for points in shown[0].collections}
    colours = {name: to_hex(points[name].get_facecolor()[0]) for name in classes}
    assert colours == {"sit": to_hex(COLOURS[1]), **dict.fromkeys(classes[1:], to_hex(COLOURS[0]))}
    markers = {len(points[name].get_paths()[0].vertices) for name in classes[1:]}
    assert len(markers) == 3
    assert all(len(points[name].get_offsets()) == 10 for name in classes)


def test_matrices_are_drawn_in_the_order_of_neighbours() -> None:
    classes = ["walk", "sit", "walk upstairs"]
    rows = pd.DataFrame({"true": [0, 0, 1, 2], "predicted": [0, 2, 1, 2], "label_budget": "1 %", "evaluation": "e"})
    figure = figures.draw_confusion_matrices({"m": rows}, "1 %", {"m": "M"}, {"e": "E"}, classes, [1, 2, 0])
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["sit", "walk upstairs", "walk"]
    cells = {text.get_position(): text.get_text() for text in axis.texts}
    assert cells == {(0, 0): "100", (1, 1): "100", (1, 2): "50", (2, 2): "50"}, "column and row"


@pytest.mark.parametrize("count", [6, 12, 18])
def test_numbers_of_matrices_do_not_overlap(count: int) -> None:
    classes = [f"activity number {index}" for index in range(count)]
    pairs = np.array([(row, column) for row in range(count) for column in range(count)])
    rows = pd.DataFrame({"true": pairs[:, 0], "predicted": pairs[:, 1], "label_budget": "1 %", "evaluation": "e"})
    tables = {f"m{number}": rows for number in range(2)}
    titles = {name: name for name in tables}
    figure = figures.draw_confusion_matrices(tables, "1 %", titles, {"e": "E"}, classes)
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= 12
    for axis in figure.axes[:2]:
        cell = axis.get_window_extent().width / count
        assert max(text.get_window_extent().width for text in axis.texts) < cell
