"""What users of a recogniser need to know: its facts, and its card with what it is for, its scores and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from contrastive_har.reports.pages import page_template
from contrastive_har.reports.tables import describe_budget, in_percent
from contrastive_har.scores.statistics import ReportSettings, bootstrap_interval
from contrastive_har.signals.seeds import derive_seed
from contrastive_har.use.recognisers import Origin, TrainedRecogniser


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
    origin = recogniser.origin
    return page_template("model_card.md.j2").render(
        description=recogniser.description,
        facts=describe_recogniser(recogniser),
        budget=describe_budget(origin.label_budget),
        mean=None if origin.mean_test_macro_f1 is None else in_percent(origin.mean_test_macro_f1),
        interval=_interval(origin),
        calibration=recogniser.calibration,
    )


def _interval(origin: Origin) -> str | None:
    """Return the interval of macro-F1 over the repeats; None where there is only one."""
    values, report = np.array(origin.test_macro_f1), ReportSettings()
    if len(values) < 2:
        return None
    rng = np.random.default_rng(derive_seed(report.seed, origin.method, origin.evaluation))
    low, high = bootstrap_interval(values, report.confidence, report.resamples, rng)
    return f"{100 * report.confidence:g} % bootstrap interval {in_percent(low)} to {in_percent(high)}"
