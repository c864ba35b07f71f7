"""What is shown of trials: the page and the curves."""

from __future__ import annotations

import pandas as pd

from contrastive_har.reports.figures import draw_trials
from contrastive_har.reports.trials import write_page
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.scores.trials import compare_trials, summarise_trials
from tests.scores.examples import TRIED, trials

SETTINGS = ReportSettings(resamples=200)


def test_the_page_says_what_labels_are_worth_and_where_a_strategy_fails() -> None:
    pages = {}
    for gain in (1.0, -0.5):
        table = trials(gain)
        summary, comparisons = summarise_trials(table, "random", SETTINGS), compare_trials(table, "random", SETTINGS)
        pages[gain] = write_page(summary, comparisons, {"simclr": "SimCLR"}, {"unseen": "Unseen subjects"}, 0.05)
    assert "12 are worth 24 of `random`" in pages[1.0]
    assert "below" not in pages[1.0].split("## ")[1]
    assert "`chosen` is significantly below `random` with 6, 12, 24, 48 labels" in pages[-0.5]
    assert "are worth" not in pages[-0.5]
    assert "## SimCLR, unseen subjects" in pages[1.0]
    escaped = write_page(summary, comparisons, {"simclr": "<b>SimCLR"}, {"unseen": "Unseen | subjects"}, 0.05)
    assert "## \\<b>SimCLR, unseen \\| subjects" in escaped


def test_every_strategy_of_any_panel_is_in_the_legend() -> None:
    first = summarise_trials(trials(1.0), "random", SETTINGS)
    second = first.assign(method="clusterclhar", strategy=first["strategy"].replace("chosen", "typical"))
    methods = {"simclr": "SimCLR", "clusterclhar": "ClusterCLHAR"}
    figure = draw_trials(pd.concat([first, second]), methods, {"unseen": "Unseen subjects"})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["random", "chosen", "typical"]
    assert [axis.get_title() for axis in figure.axes] == ["SimCLR\nunseen subjects", "ClusterCLHAR\nunseen subjects"]
    assert all(len(line.get_xdata()) == len(TRIED) for axis in figure.axes for line in axis.get_lines())
