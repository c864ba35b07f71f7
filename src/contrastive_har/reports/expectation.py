"""What to expect of the recogniser on whole recordings, as a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrastive_har.scores.statistics import bootstrap_interval

_RESAMPLES = 10_000
_FEWEST = 4  # people, of whom an interval is not just the lowest and the highest


def describe_expectation(people: pd.DataFrame, confidence: float) -> str:
    """Return how well the recogniser does on whole recordings of test people.

    Args:
        people: One row per test person (:func:`~contrastive_har.use.whole_recordings.score_recordings`).
        confidence: Confidence level of the interval over people.
    """
    values = 100 * people["macro_f1"].to_numpy()
    if len(people) == 1:
        spread = ""
    elif len(people) < _FEWEST:
        spread = f" (mean over people, {values.min():.1f} to {values.max():.1f})"
    else:
        low, high = bootstrap_interval(values, confidence, _RESAMPLES, np.random.default_rng(0))
        spread = f" (mean over people, {100 * confidence:g} % interval {low:.1f} to {high:.1f})"
    of_people = f"{len(people)} people" if len(people) > 1 else "one person"
    seconds = people["seconds"].sum()
    duration = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
    unknown, unlabelled = people["unknown"].sum() / seconds, people["unlabelled"].sum()
    sentences = []
    if unknown:
        sentences.append(
            f" {100 * unknown:.1f} % of these seconds show an activity that it does not know, and count as wrong."
        )
    if unlabelled:
        share = 100 * unlabelled / (seconds + unlabelled)
        sentences.append(f" The {share:.0f} % of the recordings that nobody labelled are not scored.")
    return (
        f"On whole recordings of {of_people} it was not trained on ({duration}), second by second: macro-F1 "
        f"{values.mean():.1f}{spread}, accuracy {100 * people['accuracy'].mean():.1f}." + "".join(sentences)
    )
