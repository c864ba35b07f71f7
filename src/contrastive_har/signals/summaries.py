"""What was recorded, left out and mended, how much of the time is in windows, and why the rest is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive_har.signals.arrays import edges
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import Recordings, Rejection
from contrastive_har.signals.sensors import indices_by_sensor
from contrastive_har.signals.units import STANDARD_GRAVITY, find_unit
from contrastive_har.signals.windows import Windows

_FEWEST_TO_COMPARE = 4
_AGREES, _MOST_AGREE = 0.5, 0.75  # cosine of the angle to the common direction; share of recordings
_MUCH = 0.2  # share of an activity's time in no window, above which it is worth a warning

COLUMNS = (
    "activity",
    "subjects",
    "recordings",
    "minutes",
    "windows",
    "in_windows",
    "in_short_runs",
    "left_over",
    "not_cut",
)


def summarise_recordings(recordings: Recordings) -> pd.DataFrame:
    """Return recordings and seconds per subject and activity, then what was left out and what was mended.

    Columns: subject, activity, recordings, seconds; rejected or doubted (name of the recording) or passed_over (name
    of the file), and reason; mended (name of the recording), defect, count.
    """
    description = recordings.description
    names = {UNLABELLED: "(unlabelled)", **description.activities}
    sample_counts: dict[tuple[str, int], list[int]] = {}
    others: list[dict[str, object]] = []
    directions: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for item in recordings.stream():
        if isinstance(item, Rejection):
            kind = "passed_over" if item.passed_over else "rejected"
            others.append({kind: item.recording, "reason": item.reason})
            continue
        for sensor, indices in _accelerometers(description).items():
            directions[sensor][item.name] = item.samples[:, indices].mean(axis=0, dtype=np.float64)
        others += [{"mended": item.name, "defect": defect, "count": count} for defect, count in item.mended.items()]
        for code, samples in zip(*np.unique(item.activity, return_counts=True), strict=True):
            sample_counts.setdefault((item.subject, int(code)), []).append(int(samples))
    for sensor, of_sensor in directions.items():
        reason = f"sensor '{sensor}' points the other way than in most recordings: are its axes flipped?"
        others += [{"doubted": name, "reason": reason} for name in flipped(of_sensor)]
    rows: list[dict[str, object]] = [
        {
            "subject": subject,
            "activity": names[code],
            "recordings": len(samples),
            "seconds": sum(samples) / description.sampling_rate_hz,
        }
        for (subject, code), samples in sample_counts.items()
    ]
    columns = ["subject", "activity", "recordings", "seconds", "rejected", "doubted", "passed_over", "reason"]
    columns += ["mended", "defect", "count"]
    table = pd.DataFrame(rows + others, columns=columns)
    return table.astype({"recordings": "Int64", "count": "Int64"})


def describe_summary(summary: pd.DataFrame) -> str:
    """Return in one line what :func:`summarise_recordings` has found."""
    counted = summary.dropna(subset=["subject"])
    labelled = counted[counted["activity"] != "(unlabelled)"]
    parts = [
        f"{counted['subject'].nunique()} subjects",
        f"{counted['seconds'].sum() / 60:.1f} minutes, {labelled['seconds'].sum() / 60:.1f} of them labelled",
    ]
    for column, what in (
        ("rejected", "recordings left out"),
        ("doubted", "doubted"),
        ("mended", "mended"),
        ("passed_over", "files passed over"),
    ):
        if count := summary[column].nunique():
            parts.append(f"{count} {what}")
    return "Recordings: " + "; ".join(parts) + "."


def _accelerometers(description: DatasetDescription) -> dict[str, list[int]]:
    """Return the channels of each sensor of three axes that measures acceleration."""
    found = {}
    for sensor, indices in indices_by_sensor(description.channels).items():
        unit = find_unit(description.channels[indices[0]].unit)
        if len(indices) == 3 and unit is not None and unit.quantity == STANDARD_GRAVITY:
            found[sensor] = list(indices)
    return found


def flipped(means: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return the recordings in which gravity points the other way than in most, as where signs are flipped.

    Args:
        means: Mean acceleration (3,) by recording. With fewer than four, or where most do not agree, none is returned.
    """
    names, vectors = list(means), np.array(list(means.values()))
    if len(names) < _FEWEST_TO_COMPARE:
        return []
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.maximum(lengths, np.median(lengths) / 2 + np.finfo(float).tiny)
    common = directions.sum(axis=0)
    agreement = directions @ common / max(float(np.linalg.norm(common)), np.finfo(float).tiny)
    if (agreement > _AGREES).mean() < _MOST_AGREE:
        return []
    return [name for name, value in zip(names, agreement, strict=True) if value < -_AGREES]


def summarise_windows(recordings: Recordings, windows: Windows) -> pd.DataFrame:
    """Compare the time of each activity with the windows that were cut of it.

    Returns:
        One row per activity of the data set, unlabelled time last: subjects, recordings, minutes, windows, and of the
        minutes those in windows, those in runs that are shorter than a window, those left over at the end of longer
        runs, and those of activities that are not cut at all.
    """
    rate = recordings.description.sampling_rate_hz
    names = {**recordings.description.activities, UNLABELLED: "(unlabelled)"}
    cut = {recordings.description.activities[code] for code in windows.description.recognised}
    by_recording = dict(list(windows.table.groupby("recording", sort=False)))
    counts: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    subjects: dict[int, set[str]] = defaultdict(set)
    for recording in recordings:
        covered = _covered(recording.sample, by_recording.get(recording.name))
        for code in np.unique(recording.activity):
            subjects[int(code)].add(recording.subject)
            counts[int(code)]["recordings"] += 1
        breaks = (np.diff(recording.sample) != 1) | (np.diff(recording.activity) != 0)
        for begin, end in pairwise(edges(breaks, len(recording.sample))):
            of_activity = counts[int(recording.activity[begin])]
            inside = int(covered[begin:end].sum())
            outside = "in_short_runs" if end - begin < windows.length and not inside else "left_over"
            of_activity["minutes"] += end - begin
            of_activity["in_windows"] += inside
            of_activity[outside] += end - begin - inside
    of_windows = windows.table["activity"].value_counts()
    rows = []
    for code, name in names.items():
        found = counts.get(code)
        if found is None:
            if code != UNLABELLED:
                rows.append({**dict.fromkeys(COLUMNS, 0), "activity": name})
            continue
        minutes = {key: found[key] / rate / 60 for key in ("minutes", "in_windows", "in_short_runs", "left_over")}
        is_cut = name in cut or (code == UNLABELLED and UNLABELLED in of_windows.index)
        if not is_cut:
            minutes |= {"not_cut": minutes["minutes"] - minutes["in_windows"], "in_short_runs": 0.0, "left_over": 0.0}
        facts = {"subjects": len(subjects[code]), "recordings": int(found["recordings"])}
        rows.append({"activity": name, **facts, "windows": int(of_windows.get(code, 0)), **minutes})
    table = pd.DataFrame(rows, columns=list(COLUMNS)).fillna({"not_cut": 0.0})
    counted = ["subjects", "recordings", "windows"]
    return table.astype(dict.fromkeys(counted, np.int64) | {n: float for n in COLUMNS[3:] if n not in counted})


def _covered(sample: NDArray[np.int64], windows: pd.DataFrame | None) -> NDArray[np.bool_]:
    """Return which samples, by their positions on the clock (time,), are in a window."""
    depth = np.zeros(len(sample) + 1, np.int64)
    if windows is not None:
        np.add.at(depth, np.searchsorted(sample, windows["start"]), 1)
        np.add.at(depth, np.searchsorted(sample, windows["end"]), -1)
    return np.asarray(depth.cumsum()[:-1] > 0)


def describe_windows(summary: pd.DataFrame) -> str:
    """Return, as a table for the console, what :func:`summarise_windows` has found of the time in windows and in none.

    Reasons for which no activity has time in no window are left out.
    """
    reasons = [name for name in ("in_short_runs", "left_over", "not_cut") if (summary[name] > 0).any()]
    table = summary[["activity", "minutes", "windows", *reasons]].round(1).to_string(index=False)
    return f"Minutes of each activity, its windows, and minutes in none:\n{table}"


def remarks(summary: pd.DataFrame, length: int, rate: float) -> list[str]:
    """Return what is worth a warning: activities of which much time is in no window, and the cure."""
    found = []
    for row in summary[(summary["activity"] != "(unlabelled)") & (summary["not_cut"] == 0)].itertuples(index=False):
        lost = row.in_short_runs + row.left_over
        if not row.minutes or lost < _MUCH * row.minutes:
            continue
        short = 100 * row.in_short_runs / row.minutes
        scale, unit = (1, "minutes") if row.minutes >= 1 else (60, "seconds")
        found.append(
            f"'{row.activity}': {scale * lost:.1f} of {scale * row.minutes:.1f} {unit} are in no window"
            + (f"; {short:.0f} % are in runs shorter than a window of {length / rate:.3g} s" if short else "")
            + ". Shorten windows.length or windows.stride"
            + (", or set windows.short_runs: centre." if short else ".")
        )
    return found
