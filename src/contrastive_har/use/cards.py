"""What users of a recogniser need to know: its facts, and its card with what it is for, its scores and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from contrastive_har.reports.pages import escape_markdown
from contrastive_har.reports.tables import describe_budget, in_percent
from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.use.recognisers import TrainedRecogniser


def describe_recogniser(recogniser: TrainedRecogniser) -> dict[str, Any]:
    """Return facts for users of a recogniser as plain values: its input, activities and origin."""
    description, backbone = recogniser.description, recogniser.architecture.backbone
    return {
        "dataset": description.name,
        "sampling_rate_hz": description.sampling_rate_hz,
        "window_samples": recogniser.length,
        "channels": [channel.model_dump() for channel in description.channels],
        "activities": description.class_names,
        "normalisation": "inside: windows are passed as measured",
        "encoder": ", ".join(dict.fromkeys(backbone.of(name).name for name in recogniser.modalities)),
        "head": recogniser.architecture.head.name,
        "temperature": recogniser.calibration.temperature,
        "calibration": (
            f"not fitted: {recogniser.calibration.reason}"
            if recogniser.calibration.reason
            else "for probabilities that are right as often as they say"
        ),
        **recogniser.origin.model_dump(),
    }


def model_card(recogniser: TrainedRecogniser) -> str:
    """Return the card of a recogniser as Markdown; texts of the data set are escaped."""
    description, origin, facts = recogniser.description, recogniser.origin, describe_recogniser(recogniser)
    channels = escape_markdown(", ".join(f"{channel.name} ({channel.unit})" for channel in description.channels))
    seconds = recogniser.length / description.sampling_rate_hz
    activities = escape_markdown(", ".join(description.class_names))
    return f"""# Recogniser of activities: {escape_markdown(description.title)}

**What it is for.** It recognises {activities}
in windows of {seconds:.2f} s from wearable sensors, and gives the probability of each. It is for research and for
prototypes on recordings like those it learned from.

**Input.** Windows (batch, {recogniser.length}, {len(description.channels)}) at {description.sampling_rate_hz:g} Hz,
as measured: {channels}. Normalisation is inside.

**Data.** {_data(description)} Licence: {escape_markdown(description.licence or "not stated")}.

**Learning.** Protocol {origin.protocol}, split {origin.split}: method {origin.method} (encoder {facts["encoder"]}),
evaluation {origin.evaluation} (head {facts["head"]}), {describe_budget(origin.label_budget)}. Chosen on
validation windows.

**Scores.** {_scores(recogniser)}

**Calibration.** {_calibration(recogniser)}

**Limits.** Every window gets one of these activities, also when the person does something else. Other positions of the
sensors, other devices and other groups of people can lower the scores by any amount: test it on labelled recordings of
your own first. It is no medical device.
"""


def _calibration(recogniser: TrainedRecogniser) -> str:
    """Return how the scores were calibrated, or why they were not."""
    found = recogniser.calibration
    if found.reason:
        return f"No temperature was fitted: {escape_markdown(found.reason)}."
    return (
        f"The scores are divided by a temperature of {found.temperature:.2f}, which was fitted to validation windows."
    )


def _data(description: DatasetDescription) -> str:
    """Return title, citation and address of a data set, of those that are stated."""
    parts = (description.title, description.citation, description.url)
    return " ".join(f"{escape_markdown(part)}." for part in parts if part)


def _scores(recogniser: TrainedRecogniser) -> str:
    """Return macro-F1 on test windows with its interval."""
    origin, report = recogniser.origin, ReportSettings()
    if origin.mean_test_macro_f1 is None:
        return "It was not scored on test windows."
    values, interval = np.array(origin.test_macro_f1), ""
    if len(values) > 1:
        rng = np.random.default_rng(derive_seed(report.seed, origin.method, origin.evaluation))
        low, high = bootstrap_interval(values, report.confidence, report.resamples, rng)
        interval = (
            f", {100 * report.confidence:g} % bootstrap interval {in_percent(low)} to {in_percent(high)} over "
            f"{len(values)} repeats"
        )
    return f"Macro-F1 on the test windows of its split: {in_percent(origin.mean_test_macro_f1)} %{interval}."
