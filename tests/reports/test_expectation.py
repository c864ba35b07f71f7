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
    people = pd.DataFrame({"macro_f1": scores, "accuracy": 0.6, "seconds": seconds, "unlabelled": 10.0})
    assert told in describe_expectation(people, 0.95)


def test_a_report_of_other_runs_does_not_say_on_what_they_computed() -> None:
    alone = RunFacts("r", "kedro run", "", "m", {"r": ["kedro run"]})
    assert "Computed on" in describe_origin(alone, "cpu")
    for scored in ({"earlier": ["kedro run"]}, {"r": ["kedro run --tags=evaluation", "kedro run"]}):
        rows = describe_origin(RunFacts("r", "kedro run", "", "m", scored), "cpu")
        assert "Computed on" not in rows
        assert "Written on" in rows
