"""Answers as the tasks of Label Studio, and back (https://labelstud.io/guide/export): regions of time series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from contrastive_har.labelling.answers import Answer
from contrastive_har.labelling.recordings import Unlabelled

_FROM, _TO, _KIND = "label", "ts", "timeserieslabels"
_TIME = "seconds"
TO_LABEL = "to label"
"""Label of the windows and stretches that are proposed."""


def configuration(activities: Iterable[str], channels: Iterable[str]) -> str:
    """Return the labelling configuration of a project of Label Studio (https://labelstud.io/tags/timeseries)."""
    view = ElementTree.Element("View")
    labels = ElementTree.SubElement(view, "TimeSeriesLabels", name=_FROM, toName=_TO)
    for activity in (*activities, TO_LABEL):
        ElementTree.SubElement(labels, "Label", value=activity)
    shown = {"name": _TO, "value": "$signal", "valueType": "json", "timeColumn": _TIME}
    series = ElementTree.SubElement(view, "TimeSeries", shown)
    for channel in channels:
        ElementTree.SubElement(series, "Channel", column=channel)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def signals_of(unlabelled: Unlabelled, recording: str) -> dict[str, list[float]]:
    """Return a recording as columns: seconds by its time stamps, and its channels, at the rate of the windows."""
    parts = [part for part in unlabelled.parts if part.recording == recording]
    seconds = [part.start + np.arange(len(part.samples)) / unlabelled.rate for part in parts]
    samples = np.concatenate([part.samples for part in parts]).astype(np.float64)
    names = unlabelled.windows.description.channel_names
    columns = {name: np.round(values, 4).tolist() for name, values in zip(names, samples.T, strict=True)}
    return {_TIME: np.round(np.concatenate(seconds), 6).tolist(), **columns}


def to_tasks(
    answers: Iterable[Answer], proposed: Iterable[Answer], signals: Callable[[str], Mapping[str, Sequence[float]]]
) -> list[dict[str, Any]]:
    """Return one task per recording: its signal, its answers as an annotation, and as a prediction what is proposed.

    Label Studio imports annotations of people whom it does not know only if they name none; so each region has its
    labeller in its ``meta``.

    Args:
        answers: The answers.
        proposed: What is proposed, without activities.
        signals: Returns a recording as columns: :func:`signals_of`.
    """
    regions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for answer in answers:
        if answer.activity:
            regions[answer.recording].append({**_region(answer, answer.activity), "meta": {"text": [answer.labeller]}})
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for stretch in proposed:
        wanted[stretch.recording].append(_region(stretch, TO_LABEL))
    return [
        {
            "data": {"recording": recording, "signal": signals(recording)},
            "annotations": [{"result": regions[recording]}] if recording in regions else [],
            "predictions": [{"result": wanted[recording]}] if recording in wanted else [],
        }
        for recording in dict.fromkeys((*regions, *wanted))
    ]


def from_tasks(tasks: Sequence[Mapping[str, Any]], labeller: str) -> list[Answer]:
    """Return the answers of exported tasks, in the order of their times; regions that are still to label are none.

    Args:
        tasks: Label Studio's JSON export.
        labeller: Who is taken for the labeller of regions and annotations that do not say.

    Raises:
        ValueError: if a task does not say its recording, or a region has no times.
    """
    answers = []
    for number, task in enumerate(tasks, 1):
        try:
            recording = str(task["data"]["recording"])
            for annotation in task.get("annotations", ()):
                who = annotation.get("completed_by")
                name = str(who.get("email", labeller)) if isinstance(who, Mapping) else labeller
                when = str(annotation.get("created_at", ""))
                answers += [
                    Answer(
                        recording=recording,
                        start=value["start"],
                        end=value["end"],
                        activity=activity,
                        labeller=region.get("meta", {}).get("text", [name])[0],
                        labelled_at=when,
                    )
                    for region in annotation["result"]
                    if region["type"] == _KIND
                    for value in [region["value"]]
                    for activity in value[_KIND][:1]
                    if activity != TO_LABEL
                ]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"task {number} of the Label Studio export: {error!r}. Export it as JSON again."
            ) from error
    return sorted(answers, key=lambda answer: (answer.recording, answer.start))


def _region(answer: Answer, label: str) -> dict[str, Any]:
    value = {"start": answer.start, "end": answer.end, "instant": False, _KIND: [label]}
    return {"from_name": _FROM, "to_name": _TO, "type": _KIND, "value": value}
