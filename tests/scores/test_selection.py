"""Settings chosen on validation windows, against a literal search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrastive_har.scores.cells import Cell
from contrastive_har.scores.selection import LABEL_FREE, SELECTION_COLUMNS, last_epochs, select
from contrastive_har.scores.table import CELL, EVERYTHING, LATE_RISE, PAPER_STYLE, VALIDATION, score
from tests.scores.examples import CLASSES, SUBJECTS, curves, long_scores, predictions

SETTINGS = {"none": 0.0, "quarter": 0.25, "one": 1.0, "four": 4.0}
Values = dict[str, list[float]]


def scores_of(test: Values, validation: Values, evaluation: str = "linear", split: str = "s") -> pd.DataFrame:
    """Long scores of some methods; NaN where a repeat has no score."""
    tables = [
        long_scores({(method, evaluation): of for method, of in values.items()}).assign(metric=metric, split=split)
        for metric, values in (("macro_f1", test), (VALIDATION, validation))
        if values
    ]
    return pd.concat(tables).dropna(subset="value")


def histories(repeats: int, split: str = "s", seed: int = 0, **known: list[float]) -> pd.DataFrame:
    """The last epoch of each method and repeat."""
    rng = np.random.default_rng(seed)
    rows = [
        {"split": split, "method": method, "repeat": repeat, **{name: rng.random() for name in LABEL_FREE}}
        for method in SETTINGS
        for repeat in range(repeats)
    ]
    return pd.DataFrame(rows).assign(**known)


def drawn(repeats: int, seed: int, methods: tuple[str, ...] = tuple(SETTINGS)) -> Values:
    """Scores in steps of a twentieth, so that some are equal."""
    rng = np.random.default_rng(seed)
    return {method: (rng.integers(8, 14, repeats) / 20).tolist() for method in methods}


def ranks(values: list[float]) -> list[float]:
    """Average ranks, by counting."""
    return [sum(other < one for other in values) + (sum(other == one for other in values) + 1) / 2 for one in values]


def literal(test: Values, validation: Values, measures: pd.DataFrame) -> dict[str, object]:
    repeats = range(len(test["none"]))
    chosen = []
    for repeat in repeats:
        best = "none"
        for method in SETTINGS:
            if validation[method][repeat] > validation[best][repeat]:
                best = method
        chosen.append(best)
    means = {method: sum(test[method]) / len(repeats) for method in SETTINGS}
    value = sum(test[method][repeat] for repeat, method in enumerate(chosen)) / len(repeats)
    correlations = {}
    for name in LABEL_FREE:
        measure = {(row.method, row.repeat): getattr(row, name) for row in measures.itertuples()}
        pairs = [(test[method][repeat], measure[method, repeat]) for method in SETTINGS for repeat in repeats]
        correlations[f"{name}_rank_correlation"] = np.corrcoef(*(ranks(list(of)) for of in zip(*pairs, strict=True)))[
            0, 1
        ]
    return {
        "repeats": len(repeats),
        "chosen": ", ".join({"none": "0", "quarter": "0.25", "one": "1", "four": "4"}[method] for method in chosen),
        "value": value,
        "best_value": max(means.values()),
        "cost": max(means.values()) - value,
        **correlations,
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("repeats", [1, 2, 7])
def test_the_choice_is_that_of_a_literal_search(repeats: int, seed: int) -> None:
    test, validation = drawn(repeats, seed), drawn(repeats, seed + 100)
    measured = histories(repeats, seed=seed)
    (row,) = select(scores_of(test, validation), measured, SETTINGS).to_dict("records")
    assert list(row) == SELECTION_COLUMNS
    expected = literal(test, validation, measured)
    assert row["chosen"] == expected.pop("chosen")
    for name, value in expected.items():
        assert row[name] == pytest.approx(value), name
    best = next(method for method, value in SETTINGS.items() if value == row["best"])
    assert np.mean(test[best]) == pytest.approx(row["best_value"])
    assert (row["split"], row["evaluation"], row["label_budget"]) == ("s", "linear", "1 %")


def test_of_equal_validation_scores_the_first_setting_is_chosen() -> None:
    test = drawn(2, 0)
    scores = scores_of(test, {method: [0.5, 0.5] for method in test})
    for order in (list(SETTINGS), list(SETTINGS)[::-1]):
        settings = {method: SETTINGS[method] for method in order}
        (row,) = select(scores, histories(2), settings).to_dict("records")
        assert row["chosen"] == ", ".join([f"{SETTINGS[order[0]]:g}"] * 2)
        assert row["value"] == pytest.approx(np.mean(test[order[0]]))


def test_test_windows_choose_nothing() -> None:
    validation = drawn(5, 1)
    first = select(scores_of(drawn(5, 2), validation), histories(5), SETTINGS)
    second = select(scores_of(drawn(5, 4), validation), histories(5), SETTINGS)
    assert first["chosen"].tolist() == second["chosen"].tolist()
    assert first["value"].tolist() != second["value"].tolist()


def test_each_split_and_evaluation_is_chosen_by_itself() -> None:
    tables = {
        (split, evaluation): (drawn(3, number), drawn(3, 50 + number))
        for number, (split, evaluation) in enumerate([("s", "linear"), ("s", "linear/hand"), ("t", "linear")])
    }
    scores = pd.concat(scores_of(*of, evaluation, split) for (split, evaluation), of in tables.items())
    measured = pd.concat([histories(3, "s", 1), histories(3, "t", 2)])
    for row in select(scores, measured, SETTINGS).to_dict("records"):
        test, validation = tables[row["split"], row["evaluation"]]
        expected = literal(test, validation, measured[measured["split"] == row["split"]])
        assert row["chosen"] == expected["chosen"]
        assert row["alignment_rank_correlation"] == pytest.approx(expected["alignment_rank_correlation"])


def test_without_validation_nothing_is_chosen() -> None:
    empty = select(scores_of(drawn(3, 0), {}), histories(3), SETTINGS)
    assert empty.empty
    assert list(empty.columns) == SELECTION_COLUMNS


def test_a_setting_or_a_repeat_without_validation_is_left_out() -> None:
    test, validation = drawn(3, 0), {method: [0.1, 0.1, np.nan] for method in SETTINGS}
    validation["one"] = [np.nan, 0.2, np.nan]
    del validation["four"]
    (row,) = select(scores_of(test, validation), histories(3), SETTINGS).to_dict("records")
    assert (row["repeats"], row["chosen"]) == (2, "0, 1")
    assert row["value"] == pytest.approx((test["none"][0] + test["one"][1]) / 2)
    assert row["best_value"] == pytest.approx(max(np.mean(test[name][:2]) for name in ("none", "quarter", "one")))


def test_methods_that_are_not_swept_and_groups_do_not_count() -> None:
    test, validation = drawn(3, 0), drawn(3, 1)
    scores = scores_of({**test, "other": [1.0] * 3}, {**validation, "other": [1.0] * 3})
    of_classes = scores.assign(group="class: rest", value=scores["value"].iloc[::-1].to_numpy())
    expected = select(scores_of(test, validation), histories(3), SETTINGS)
    pd.testing.assert_frame_equal(select(pd.concat([scores, of_classes]), histories(3), SETTINGS), expected)


def test_signs_of_the_rank_correlations() -> None:
    """Low alignment goes with good scores here, and a high recall too."""
    test = {method: [0.1 * number + 0.01, 0.1 * number] for number, method in enumerate(SETTINGS)}
    measured = histories(2)
    of = [test[row.method][row.repeat] for row in measured.itertuples()]
    measured = measured.assign(alignment=[1 - value**2 for value in of], recall_at_1=np.exp(of), uniformity=3.0)
    (row,) = select(scores_of(test, test), measured, SETTINGS).to_dict("records")
    assert row["alignment_rank_correlation"] == pytest.approx(-1)
    assert row["recall_at_1_rank_correlation"] == pytest.approx(1)
    assert np.isnan(row["uniformity_rank_correlation"]), "a constant has no ranks"
    unknown = select(scores_of(test, test), measured.assign(recall_at_1=np.nan), SETTINGS)
    assert unknown["recall_at_1_rank_correlation"].isna().all()


def test_validation_scores_are_those_of_the_last_epoch() -> None:
    """Those of the published style come from the test curves only."""
    table = predictions(0, 0.9)
    both = pd.concat([curves(table), curves(table).assign(role="validation", macro_f1=[0.7, 0.6] * 6)])
    names = {"dataset": "d", "protocol": "p", "split": "s", "method": "m"}
    scored = score(table, both, SUBJECTS, CLASSES, **names)
    validation = scored[scored["metric"] == VALIDATION]
    assert validation["value"].tolist() == [0.6] * 6
    assert set(validation["group"]) == {EVERYTHING}
    assert not validation.duplicated([*CELL, "repeat"]).any()
    assert {tuple(row) for row in validation[["label_budget", "repeat"]].to_numpy()} == {
        (budget, repeat) for budget in ("1 %", "10 %") for repeat in range(3)
    }
    for metric, value in (("macro_f1", 0.99), ("accuracy", 0.98)):
        assert scored.loc[scored["metric"] == PAPER_STYLE[metric], "value"].tolist() == [value] * 6
    without = score(table, curves(table), SUBJECTS, CLASSES, **names)
    assert VALIDATION not in set(without["metric"])
    others, same = (one[~one["metric"].isin([VALIDATION, LATE_RISE])] for one in (scored, without))
    pd.testing.assert_frame_equal(others.reset_index(drop=True), same.reset_index(drop=True))


def test_the_last_epoch_is_taken_of_each_cell_and_repeat() -> None:
    history = pd.DataFrame({"repeat": [0, 1, 0, 1, 0], "epoch": [1, 2, 3, 1, 2], "loss": [5.0, 4.0, 3.0, 2.0, 1.0]})
    cells = {Cell("p", "s", "trained"): history, Cell("p", "t", "untrained"): history.iloc[:0]}
    rows = last_epochs(cells)[["split", "method", "repeat", "epoch", "loss"]]
    assert rows.to_numpy().tolist() == [["s", "trained", 0, 3, 3.0], ["s", "trained", 1, 2, 4.0]]
