"""Averages over neighbouring windows, against the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contrastive_har.signals.neighbours import STRIDES, Neighbours
from contrastive_har.signals.windows import Windows


def test_average_is_that_of_the_members_of_a_recording_within_reach() -> None:
    rng = np.random.default_rng(0)
    recording, start = rng.integers(0, 4, 80), rng.integers(-1000, 1050, 80)
    members = rng.permutation(80)[:50]
    values = rng.random((50, 3))
    found = Neighbours(recording, start, 100).average(values, members)
    for row, window in enumerate(members):
        near = [
            values[other]
            for other, of in enumerate(members)
            if recording[of] == recording[window] and abs(start[of] - start[window]) <= 100
        ]
        np.testing.assert_allclose(found[row], np.mean(near, axis=0))


def test_neighbours_of_windows_are_those_of_their_recording_within_two_strides(windows: Windows) -> None:
    table = windows.table
    everything = np.arange(len(table))
    indicator = np.eye(len(table))
    weights = Neighbours.of(windows).average(indicator, everything)
    for index in everything[::7]:
        own = table.loc[index]
        near = (table["subject"] == own["subject"]) & (table["recording"] == own["recording"])
        near &= (table["start"] - own["start"]).abs() <= STRIDES * windows.stride
        np.testing.assert_array_equal(np.flatnonzero(weights[index]), np.flatnonzero(near))


def test_no_windows_have_no_averages() -> None:
    nothing = np.array([], np.int64)
    assert Neighbours(nothing, nothing, 5).average(np.empty((0, 2)), nothing).shape == (0, 2)


def test_clips_have_no_neighbours(windows: Windows) -> None:
    """Each is an execution of its own, and the next in a recording may show anything."""
    clips = replace(windows, table=windows.table.assign(end=windows.table["end"] + 1))
    assert clips.are_clips
    weights = Neighbours.of(clips).average(np.eye(len(clips.table)), np.arange(len(clips.table)))
    np.testing.assert_array_equal(weights, np.eye(len(clips.table)))
