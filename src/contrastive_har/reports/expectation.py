"""What to expect of the recogniser on whole recordings, as a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrastive_har.scores.statistics import bootstrap_interval

_RESAMPLES = 10_000


def describe_expectation(people: pd.DataFrame, confidence: float) -> str:
    """Return how well the recogniser does on whole recordings of test people.

    Args:
        people: One row per test person (:func:`~contrastive_har.use.whole_recordings.score_recordings`).
        confidence: Confidence level of the interval over people.
    """
    values = 100 * people["macro_f1"].to_numpy()
    low, high = bootstrap_interval(values, confidence, _RESAMPLES, np.random.default_rng(0))
    of_people = f"{len(people)} people" if len(people) > 1 else "one person"
    interval = f", {100 * confidence:g} % interval {low:.1f} to {high:.1f}" if len(people) > 1 else ""
    hours = people["seconds"].sum() / 3600
    unknown = people["unlabelled"].sum() / (people["seconds"].sum() + people["unlabelled"].sum())
    return (
        f"On whole recordings of {of_people} it was not trained on ({hours:.2g} hours), second by second: macro-F1 "
        f"{values.mean():.1f} (mean over people{interval}), accuracy {100 * people['accuracy'].mean():.1f}. "
        f"The {100 * unknown:.0f} % of the seconds without an activity that it knows are not scored."
    )
