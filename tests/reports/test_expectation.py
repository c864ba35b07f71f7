"""What a report says of whole recordings, and where it was written."""

from __future__ import annotations

import pandas as pd
import pytest

from contrastive_har.reports.expectation import describe_expectation
from contrastive_har.reports.origin import RunFacts, describe_origin


@pytest.mark.parametrize(
    ("count", "seconds", "told"),
    [
        (1, 90.0, "one person it was not trained on (1.5 minutes), second by second: macro-F1 50.0, accuracy"),
        (3, 1800.0, "(1.5 hours), second by second: macro-F1 60.0 (mean over people, 50.0 to 70.0), accuracy"),
        (10, 72000.0, "10 people it was not trained on (200.0 hours), second by second: macro-F1 95.0 (mean over "),
    ],
)
def test_whole_recordings_are_told_with_their_duration(count: int, seconds: float, told: str) -> None:
    scores = [0.5 + 0.1 * index for index in range(count)]
    people = pd.DataFrame({"macro_f1": scores, "accuracy": 0.6, "seconds": seconds, "unknown": 0, "unlabelled": 10.0})
    assert told in describe_expectation(people, 0.95)


def test_seconds_that_cannot_be_right_and_those_that_are_not_scored_are_told() -> None:
    people = pd.DataFrame({"macro_f1": [0.5], "accuracy": 0.6, "seconds": 90, "unknown": 9, "unlabelled": 10})
    told = describe_expectation(people, 0.95)
    assert "accuracy 60.0. 10.0 % of these seconds show an activity that it does not know, and count as wrong." in told
    assert told.endswith(" The 10 % of the recordings that nobody labelled are not scored.")
    assert describe_expectation(people.assign(unknown=0, unlabelled=0), 0.95).endswith("accuracy 60.0.")


def test_a_report_of_other_runs_does_not_say_on_what_they_computed() -> None:
    alone = RunFacts("r", "kedro run", "", "m", {"r": ["kedro run"]})
    assert "Computed on" in describe_origin(alone, "cpu")
    for scored in ({"earlier": ["kedro run"]}, {"r": ["kedro run --tags=evaluation", "kedro run"]}):
        rows = describe_origin(RunFacts("r", "kedro run", "", "m", scored), "cpu")
        assert "Computed on" not in rows
        assert "Written on" in rows
