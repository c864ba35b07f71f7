"""The first sentence of a report, and what it says about differences."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import scipy.stats

from contrastive_har.reports import figures
from contrastive_har.reports.answer import answer, best_rows
from contrastive_har.reports.difficulty import hard_activities, hard_subjects
from contrastive_har.scores.comparisons import compare, holm, least_repeats
from contrastive_har.scores.statistics import ReportSettings, read_published, summarise
from tests.scores.examples import long_scores, paired_scores, two_methods

SETTINGS = ReportSettings(resamples=200)


def protocol(**objectives: str) -> dict[str, Any]:
    """Return a protocol whose methods have the given objectives."""
    return {
        "splits": {"s": {"title": "Unseen subjects", "leak_free": True}, "other": {"title": "Not scored"}},
        "encoder": {"name": "tpn"},
        "methods": {
            name: {"title": name.upper(), "objective": {"name": objective}, "encoder": {"name": "tpn"}}
            for name, objective in objectives.items()
        },
        "evaluations": {
            name: {"title": name.capitalize(), "trained_stages": stages}
            for name, stages in (("linear", 0), ("fine", 2), ("alone", 0))
        },
        "compared_with": "b",
    }


def answered(scores: pd.DataFrame, **objectives: str) -> tuple[str, str]:
    """Return the sentence of an answer, and its doubt."""
    summary = summarise(scores, read_published(), SETTINGS)
    found = answer(summary, compare(scores, "b", SETTINGS), protocol(**objectives), 6, 0.05)
    return found.sentence, found.doubt


def test_a_pretrained_method_is_best() -> None:
    sentence, _ = answered(paired_scores(), a="contrastive", b="contrastive", c="contrastive", base="untrained")
    assert sentence.startswith(
        "With 1 % of the labels, A recognises six activities best (unseen subjects; chosen on these test windows): "
        "macro-F1 8"
    )
    assert sentence.count("±") == 2
    assert "; an untrained encoder has " in sentence
    assert "pre-trained encoder" not in sentence


def test_a_baseline_is_best() -> None:
    sentence, _ = answered(paired_scores(), a="untrained", b="contrastive", c="contrastive", base="untrained")
    assert "; the best pre-trained encoder (" in sentence


def test_an_untrained_encoder_is_the_protocols_with_nothing_beside_it() -> None:
    scores = long_scores(
        {("a", "linear"): [0.9], ("b", "linear"): [0.8], ("c", "linear"): [0.7], ("d", "fine"): [0.85]}
    )
    summary = summarise(scores, read_published(), SETTINGS)
    of_protocol = protocol(a="contrastive", b="untrained", c="untrained", d="untrained")
    of_protocol["methods"]["b"]["beside"] = [{"name": "hand_features"}]
    sentence = answer(summary, compare(scores, "b", SETTINGS), of_protocol, 6, 0.05).sentence
    assert sentence.endswith("90.0 %; without pre-training, B has 80.0 %; an untrained encoder has 70.0 %.")


def test_where_there_are_validation_windows_they_choose_method_and_evaluation() -> None:
    test = {("a", "linear"): [0.9], ("b", "linear"): [0.8], ("b", "fine"): [0.7]}
    validation = {("a", "linear"): [0.5], ("b", "linear"): [0.6], ("b", "fine"): [0.8]}
    scores = pd.concat([long_scores(test), long_scores(validation).assign(metric="validation_macro_f1")])
    summary = summarise(scores, read_published(), SETTINGS)
    rows = best_rows(summary, "1 %")
    assert rows[["method", "evaluation"]].to_numpy().tolist() == [["a", "linear"], ["b", "fine"]], "by test score"
    sentence, _ = answered(scores, a="contrastive", b="contrastive")
    assert (
        "B recognises six activities best (unseen subjects; chosen on validation windows): macro-F1 70.0 %" in sentence
    )

    some = scores[(scores["metric"] == "macro_f1") | (scores["evaluation"] == "linear")]
    sentence, _ = answered(some, a="contrastive", b="contrastive")
    assert "A recognises six activities best (unseen subjects; chosen on these test windows)" in sentence, "b lacks one"


def test_a_single_repeat_has_no_spread() -> None:
    scores = long_scores({("a", "linear"): [0.9], ("b", "linear"): [0.8]})
    sentence, doubt = answered(scores, a="contrastive", b="untrained")
    assert sentence.endswith("macro-F1 90.0 %; an untrained encoder has 80.0 %.")
    assert doubt.startswith("One repeat: no difference here can be significant.")


def test_too_few_repeats_are_said_and_how_many_are_enough() -> None:
    scores = paired_scores()
    names = dict.fromkeys(("a", "b", "c", "base"), "contrastive")
    _, doubt = answered(scores[scores["repeat"] < 2], **names)
    assert doubt == (
        "Two repeats: no difference here can be significant. A family of 3 comparisons needs repeats=7 or more, a "
        "single comparison repeats=6."
    )
    _, doubt = answered(scores, **names)
    assert doubt == "Significantly different from B (Fine): A, BASE; not told apart from it: C."


def test_differences_are_those_of_one_evaluation() -> None:
    """The smallest of several corrected p-values is not corrected for having been chosen."""
    scores = paired_scores()
    linear = scores[scores["evaluation"] != "fine"]
    names = dict.fromkeys(("a", "b", "c", "base"), "contrastive")
    equal = linear[(linear["method"] == "b") & (linear["evaluation"] == "linear")]
    fine = pd.concat([equal.assign(method=name, evaluation="fine") for name in ("a", "b", "c")])
    _, doubt = answered(pd.concat([linear, fine.assign(value=0.99)]), **names)
    assert doubt == "Significantly different from B (Fine): BASE; not told apart from it: A, C."
    _, doubt = answered(pd.concat([linear, fine.assign(value=0.1)]), **names)
    assert doubt == "Significantly different from B (Linear): A, BASE; not told apart from it: C."
    _, doubt = answered(linear[linear["method"] != "b"], **names)
    assert doubt == "Nothing was compared: no other method has an evaluation of B."


@pytest.mark.parametrize("comparisons", [1, 3, 11])
def test_the_least_number_of_repeats_is_that_of_the_test(comparisons: int) -> None:
    """As many equal signs as possible, in the only comparison of a family that differs."""

    def smallest(repeats: int) -> float:
        p = float(scipy.stats.wilcoxon([1.0 + index for index in range(repeats)]).pvalue)
        return min(holm([p] + [1.0] * (comparisons - 1)))

    found = least_repeats(comparisons, 0.05)
    assert smallest(found) < 0.05 <= smallest(found - 1)


def test_the_figure_has_a_row_per_method_and_a_mark_for_what_was_published() -> None:
    summary = summarise(two_methods(), read_published(), SETTINGS)
    figure = figures.draw_answer(
        best_rows(summary, "1 %"), "paper", {"simclr": "S", "random_init": "R"}, {"paper": "P"}
    )
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["S", "R"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["P", "published"]


def test_hard_subjects_and_activities_have_names() -> None:
    scores = two_methods()
    worst = scores["group"].isin(["subject: s2", "class: rest"]) & (scores["label_budget"] == "1 %")
    scores.loc[worst, "value"] = 0.1
    assert hard_subjects(scores, "1 %", {"paper": "P"})["P"].startswith(
        "Hardest subjects by mean macro-F1 over all rows: s2 (10.0);"
    )
    assert hard_activities(scores, "1 %", {"paper": "P"}, {})["P"].startswith(
        "Hardest activities by mean F1 over all rows: rest (10.0);"
    )


def test_activities_without_test_windows_are_not_called_hard() -> None:
    """Their F1 is 0 whatever a method does."""
    scores = two_methods()
    rest = scores["group"] == "class: rest"
    scores.loc[rest, "value"] = 0.1
    scores.loc[rest & (scores["repeat"] == 1), "value"] = 0.0
    told = hard_activities(scores, "1 %", {"paper": "P"}, {"paper": {"rest": [1]}})["P"]
    assert told.startswith("Hardest activities by mean F1 over all rows: rest (10.0);")
    never = hard_activities(scores, "1 %", {"paper": "P"}, {"paper": {"rest": [0, 1, 2]}})["P"]
    assert "rest" not in never
