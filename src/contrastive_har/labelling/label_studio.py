"""Answers as the tasks of Label Studio, and back (https://labelstud.io/guide/export): regions of time series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastive_har.labelling.answers import Answer

_FROM, _TO, _KIND = "label", "ts", "timeserieslabels"
TO_LABEL = "to label"
"""Label of the stretches that are proposed."""


def to_tasks(answers: Iterable[Answer], proposed: Iterable[Answer] = ()) -> list[dict[str, Any]]:
    """Return one task per recording: its answers as annotations by labeller, proposed stretches as predictions.

    The labelling configuration needs ``<TimeSeriesLabels name="label" toName="ts">``.
    """
    regions: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.activity:
            regions[answer.recording][answer.labeller].append(_region(answer, answer.activity))
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for stretch in proposed:
        wanted[stretch.recording].append(_region(stretch, TO_LABEL))
    return [
        {
            "data": {"recording": recording},
            "annotations": [
                {"completed_by": {"email": labeller}, "result": result}
                for labeller, result in regions[recording].items()
            ],
            "predictions": [{"result": wanted[recording]}] if recording in wanted else [],
        }
        for recording in dict.fromkeys((*regions, *wanted))
    ]


def from_tasks(tasks: Sequence[Mapping[str, Any]], labeller: str) -> list[Answer]:
    """Return the answers of exported tasks, in the order of their times.

    Args:
        tasks: Label Studio's JSON export.
        labeller: Who is taken for the labeller of annotations that do not say.

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
                        labeller=name,
                        labelled_at=when,
                    )
                    for region in annotation["result"]
                    if region["type"] == _KIND
                    for value in [region["value"]]
                    for activity in value[_KIND][:1]
                ]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"task {number} of the Label Studio export: {error!r}. Export it as JSON again."
            ) from error
    return sorted(answers, key=lambda answer: (answer.recording, answer.start))


def _region(answer: Answer, label: str) -> dict[str, Any]:
    value = {"start": answer.start, "end": answer.end, "instant": False, _KIND: [label]}
    return {"from_name": _FROM, "to_name": _TO, "type": _KIND, "value": value}
