"""New recordings and a trained recogniser to a timeline of activities."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from contrastive_har.reports import timelines
from contrastive_har.reports.figures import Figure
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.use.export import export_onnx
from contrastive_har.use.new_recordings import columns_of, open_new_recordings
from contrastive_har.use.recognisers import TrainedRecogniser
from contrastive_har.use.timelines import InferenceSettings, Timeline
from contrastive_har.use.timelines import recognise_recordings as plan_timeline


def recognise_recordings(new_recordings: Path, recogniser: TrainedRecogniser, inference: InferenceSettings) -> Timeline:
    """Recognise activities in a file or folder of recordings; computed while the result is stored.

    Of a recogniser of several modalities, the part is used that the recordings suffice for.
    """
    if inference.modalities:
        recogniser = recogniser.only(inference.modalities)
    elif recogniser.alternatives:
        recogniser = recogniser.suited_to(columns_of(new_recordings, recogniser.description.channel_names))
    description, reference = recogniser.description, recogniser.reference
    pieces = partial(
        open_new_recordings,
        new_recordings,
        description.channels,
        description.sampling_rate_hz,
        inference.longest_gap,
        None if reference is None else reference.typical,
    )
    return plan_timeline(pieces, recogniser, inference)


def draw_timeline(timeline: pd.DataFrame) -> tuple[Figure, list[str]]:
    """Draw the timeline; return also why files were left out."""
    return timelines.draw_timeline(timeline), timeline.attrs["left_out"]


def refuse_left_out(reasons: list[str]) -> None:
    """Fail at the end if files were left out; the timeline of the others and its figure are stored.

    Raises:
        BadRecordingError: if there were any.
    """
    if reasons:
        listed = "\n".join(reasons)
        raise BadRecordingError(f"The timeline is stored, but {len(reasons)} recordings are left out:\n{listed}")


def export_recogniser(recogniser: TrainedRecogniser, inference: InferenceSettings) -> bytes:
    """Return the recogniser, of all or some modalities, as an ONNX model."""
    return export_onnx(recogniser.only(inference.modalities) if inference.modalities else recogniser)
