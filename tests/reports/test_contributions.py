"""What each modality contributes: tables, sentences, and scores against a setting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from contrastive_har.reports import figures
from contrastive_har.reports.contributions import contribution_tables, modality_sentences
from contrastive_har.scores import comparisons
from contrastive_har.scores.cells import title_evaluations
from contrastive_har.scores.selection import LABEL_FREE
from contrastive_har.scores.statistics import ReportSettings, read_published, summarise
from tests.scores.examples import long_scores

METHODS = {"cmc": "CMC", "simclr": "SimCLR", "random": "Random"}
EVALUATIONS = {"linear": "Logistic regression", "ridge": "Ridge regression"}
SPLITS = {"s": "Unseen subjects"}


def summarised(scores: pd.DataFrame) -> pd.DataFrame:
    return summarise(scores, read_published(), ReportSettings(resamples=100))


def by_modality() -> pd.DataFrame:
    """Scores with two label budgets; Random has no score of the foot."""
    few = long_scores(
        {
            ("cmc", "linear"): [0.5, 0.7],
            ("cmc", "linear/hand"): [0.3, 0.3],
            ("cmc", "linear/foot"): [0.25, 0.35],
            ("random", "linear"): [0.1, 0.1],
            ("random", "linear/hand"): [0.2, 0.2],
            ("random", "ridge"): [0.9, 0.9],
        }
    )
    many = few[few["evaluation"] != "linear/foot"].assign(label_budget="10 %", value=few["value"] / 2)
    return pd.concat([many, few])


def test_a_table_has_a_row_per_method_and_a_column_per_modality() -> None:
    tables = contribution_tables(summarised(by_modality()), METHODS, EVALUATIONS, SPLITS)
    assert [table.title for table in tables] == [
        "Unseen subjects, logistic regression, 1 % of the labels",
        "Unseen subjects, logistic regression, 10 % of the labels",
    ], "the smallest first; ridge regression was run with all modalities only"
    few, many = tables
    assert few.modalities == many.modalities
    assert set(few.modalities) == {"all", "hand", "foot"}
    cells = {
        (method, modality): cell for method, row in few.rows for modality, cell in zip(few.modalities, row, strict=True)
    }
    assert cells == {
        ("CMC", "all"): "60.0 ± 14.1",
        ("CMC", "hand"): "30.0 ± 0.0",
        ("CMC", "foot"): "30.0 ± 7.1",
        ("Random", "all"): "10.0 ± 0.0",
        ("Random", "hand"): "20.0 ± 0.0",
        ("Random", "foot"): "",
    }
    assert dict(many.rows)["CMC"][many.modalities.index("all")] == "30.0 ± 7.1"
    assert dict(many.rows)["CMC"][many.modalities.index("foot")] == ""


def test_combinations_are_columns_too() -> None:
    scores = long_scores({("cmc", f"linear/{name}"): [0.5] for name in ("hand-and-foot", "hand")})
    (table,) = contribution_tables(summarised(scores), METHODS, EVALUATIONS, SPLITS)
    assert table.modalities == ["hand + foot", "hand"]
    assert table.rows == [("CMC", ["50.0 ± –", "50.0 ± –"])]


def test_without_modalities_there_is_no_table() -> None:
    scores = long_scores({("cmc", "linear"): [0.5], ("random", "ridge"): [0.5]})
    assert contribution_tables(summarised(scores), METHODS, EVALUATIONS, SPLITS) == []


def sentences(shifts: dict[str, float], repeats: int = 10, alone: str = "simclr") -> list[str]:
    """CMC above the others by a shift for each evaluation, over repeats that vary together."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0.5, 0.1, repeats)
    noise = rng.normal(0, 0.001, repeats)
    values = {
        (method, evaluation): (shared + (method == "cmc") * shift + (noise if method == "random" else 0)).tolist()
        for evaluation, shift in shifts.items()
        for method in METHODS
    }
    compared = comparisons.compare(long_scores(values), "cmc", ReportSettings(resamples=100))
    titled = title_evaluations(EVALUATIONS, shifts)
    return list(modality_sentences(compared, alone, METHODS, titled, SPLITS, 0.05))


def test_sentences_are_about_single_modalities_and_the_method_that_trains_them_alone() -> None:
    said = sentences({"linear": 0.2, "linear/hand": 0.05, "linear/foot": -0.05, "linear/hand-and-foot": 0.1})
    assert len(said) == 2
    hand, foot = said
    assert hand.startswith(
        "hand alone (unseen subjects, logistic regression, hand, 1 % of the labels): CMC +5.0 points against SimCLR"
    )
    assert "(10 repeats, interval +5.0 to +5.0)" in hand
    assert hand.endswith("training with the other modalities helps.")
    assert foot.startswith("foot alone")
    assert "CMC -5.0 points" in foot
    assert foot.endswith("training with the other modalities hurts.")


def test_what_chance_explains_is_said_to_be_chance() -> None:
    (said,) = sentences({"linear/hand": 0.0})
    assert said.endswith("training with the other modalities makes no difference that can be told from chance.")


def test_too_few_repeats_are_said_to_be_too_few() -> None:
    (said,) = sentences({"linear/hand": 0.05}, repeats=4)
    needed = comparisons.least_repeats(2, 0.05)
    assert said.endswith(
        f"training with the other modalities may help or hurt: a test needs at least {needed} repeats."
    )


def test_one_repeat_has_no_interval_and_nobody_trained_alone_no_sentence() -> None:
    (said,) = sentences({"linear/hand": 0.1}, repeats=1)
    assert "(1 repeats):" in said
    assert sentences({"linear/hand": 0.1}, alone="None") == []
    assert sentences({"linear": 0.1}) == []


def points(axis: Axes) -> list[tuple[list[float], list[float]]]:
    """Coordinates of each line with markers."""
    return [
        (container[0].get_xdata().tolist(), container[0].get_ydata().tolist())  # type: ignore[union-attr]
        for container in axis.containers
    ]


def swept() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    settings = {"four": 4.0, "none": 0.0, "half": 0.5}
    values: dict[tuple[str, str], list[float]] = {
        (method, evaluation): [0.1 * value, 0.1 * value + shift]
        for method, value in settings.items()
        for evaluation, shift in (("linear", 0.1), ("linear/hand", 0.2))
    }
    few = long_scores(values)
    summary = summarised(pd.concat([few, few.assign(label_budget="10 %", value=few["value"] + 0.05)]))
    rows: list[dict[str, Any]] = [
        {"method": method, "repeat": repeat, **dict.fromkeys(LABEL_FREE, value + repeat)}
        for method, value in settings.items()
        for repeat in range(2)
    ]
    return summary, pd.DataFrame(rows), settings


def test_a_sweep_is_drawn_in_the_order_of_its_values() -> None:
    summary, histories, settings = swept()
    titles = title_evaluations(EVALUATIONS, ["linear", "linear/hand"])
    figure = figures.draw_sweep(summary, histories, settings, titles, "concentration")
    figure.canvas.draw()
    first, second, *rest = figure.axes
    shown = [axis for axis in rest if axis.get_visible()]
    assert [axis.get_title() for axis in (first, second)] == [
        "Logistic regression, all modalities",
        "Logistic regression, hand",
    ]
    means = [100 * (0.1 * value + 0.05) for value in (0, 0.5, 4)]
    (few, many) = points(first)
    assert few == ([0, 1, 2], pytest.approx(means))
    assert many == ([0, 1, 2], pytest.approx([mean + 5 for mean in means]))
    assert points(second)[0] == ([0, 1, 2], pytest.approx([mean + 5 for mean in means]))
    assert [axis.get_title() for axis in shown] == [
        "alignment, without labels",
        "uniformity, without labels",
        "recall at 1, without labels",
    ]
    for axis in (first, second, *shown):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.5", "4"]
        assert axis.get_xlabel() == "concentration"
    ((places, values),) = points(shown[0])
    assert dict(zip(places, values, strict=True)) == pytest.approx({0: 0.5, 1: 1.0, 2: 4.5})
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["1 % of the labels", "10 % of the labels"]


def test_a_sweep_without_measures_is_drawn_too() -> None:
    summary, histories, settings = swept()
    unknown = histories.assign(**dict.fromkeys(LABEL_FREE, np.nan))
    figure = figures.draw_sweep(summary, unknown, settings, title_evaluations(EVALUATIONS, summary["evaluation"]), "c")
    figure.canvas.draw()
