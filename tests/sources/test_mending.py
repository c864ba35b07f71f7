"""Rows on the clock, and what is missing between them, against a literal transcription of the rules."""

from __future__ import annotations

import numpy as np
import pytest

from contrastive_har.signals.recordings import Recording
from contrastive_har.sources.clocks import resample
from contrastive_har.sources.mending import apart, fill, mend, repeated, spread

RATE = 10.0


def mended(seconds: np.ndarray, samples: np.ndarray, activity: np.ndarray | None = None) -> Recording:
    codes = np.zeros(len(seconds), np.int16) if activity is None else activity
    recording = Recording("s", "r", np.arange(len(codes)), codes, samples.astype(np.float32))
    return mend(recording, seconds, RATE)


def literal(clock: list[int], values: list[float], longest: int) -> dict[int, float]:
    """Return the values by time, walking from each time to the known ones before and after it."""
    known = {time: value for time, value in zip(clock, values, strict=True) if np.isfinite(value)}
    result = dict(known)
    for time in range(clock[0], clock[-1] + 1):
        before = max((other for other in known if other < time), default=None)
        after = min((other for other in known if other > time), default=None)
        if time not in known and before is not None and after is not None and after - before <= longest:
            share = (time - before) / (after - before)
            result[time] = (1 - share) * known[before] + share * known[after]
    return result


@pytest.mark.parametrize("seed", range(8))
def test_missing_rows_and_samples_follow_the_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clock = np.cumsum(rng.choice([1] * 15 + [2, 5, 10, 11, 14], size=60))
    samples = rng.standard_normal((60, 3))
    for channel in range(3):
        begin = int(rng.integers(50))
        samples[begin : begin + int(rng.integers(1, 12)), channel] = np.nan
    activity = rng.integers(0, 3, 60).astype(np.int16)
    recording = mended(clock / RATE, samples, activity)
    columns = [literal(clock.tolist(), column.tolist(), 10) for column in samples.T]
    times = sorted(set.intersection(*map(set, columns)))
    np.testing.assert_array_equal(recording.sample + clock[0], times)
    np.testing.assert_allclose(recording.samples, [[column[time] for column in columns] for time in times], rtol=1e-5)
    labels = [activity[np.flatnonzero(clock <= time)[-1]] for time in times]
    np.testing.assert_array_equal(recording.activity, labels)
    whole = {int(time) for time, row in zip(clock, samples, strict=True) if np.isfinite(row).all()}
    counts = recording.mended
    assert counts.get("samples interpolated", 0) == len(set(times) - whole)
    assert counts.get("samples left out", 0) == len(set(clock.tolist()) - set(times))
    assert set(counts) <= {"samples interpolated", "samples left out"}


def test_a_whole_file_is_left_as_it_is() -> None:
    samples = np.random.default_rng(0).standard_normal((50, 2))
    jitter = np.random.default_rng(1).uniform(-0.02, 0.02, 50)
    recording = mended(7 + np.arange(50) / RATE + jitter, samples)
    np.testing.assert_array_equal(recording.sample, np.arange(50))
    np.testing.assert_array_equal(recording.samples, samples.astype(np.float32))
    assert recording.mended == {}


def test_a_gap_stays_one_and_has_its_length() -> None:
    seconds = np.arange(40) / RATE + np.where(np.arange(40) < 20, 0, 3.0)
    recording = mended(seconds, np.ones((40, 1)))
    assert np.diff(recording.sample).tolist() == [1] * 19 + [31] + [1] * 19
    assert recording.mended == {}


def test_rows_that_repeat_are_left_out_wherever_they_are() -> None:
    samples = np.random.default_rng(0).standard_normal((30, 2))
    samples[4, 1] = np.nan
    order = [*range(10), *range(3, 7), *range(10, 30), 29, 29]
    recording = mended(np.array(order) / RATE, samples[order])
    np.testing.assert_array_equal(recording.sample, np.arange(30))
    assert recording.mended == {"rows that repeat another": 6, "samples interpolated": 1}


@pytest.mark.parametrize("coarse", [2, 5])
def test_other_samples_of_the_same_time_come_before_the_next(coarse: int) -> None:
    """Times of a low resolution, and a gap after some of them."""
    rows = np.arange(40)
    seconds = rows // coarse * coarse / RATE + np.where(rows < 20, 0, 3.0)
    samples = np.arange(40.0)[:, None]
    recording = mended(seconds, samples)
    np.testing.assert_array_equal(recording.samples, samples)
    assert np.diff(recording.sample).tolist() == [1] * 19 + [31] + [1] * 19
    assert recording.mended == {"rows of equal times": 40 - 40 // coarse}


def test_equal_times_are_spread_up_to_the_next_but_not_over_a_gap() -> None:
    np.testing.assert_allclose(apart(np.array([0.0, 1, 1, 2, 3, 3])), [0, 1, 1.5, 2, 3, 4])
    np.testing.assert_allclose(apart(np.array([0.0, 1, 1, 9, 10, 11])), [0, 1, 2, 9, 10, 11])
    np.testing.assert_allclose(apart(np.array([0.0, 1, 2, 2, 1, 2])), [0, 1, 2, 3, 1, 2])
    np.testing.assert_array_equal(apart(np.array([5.0, 5, 5])), [5, 5, 5])
    assert len(apart(np.empty(0))) == 0


def test_a_clock_that_is_set_back_begins_anew_after_a_gap() -> None:
    seconds = np.concatenate([np.arange(20), np.arange(5, 25)]) / RATE
    recording = mended(seconds, np.arange(40.0)[:, None])
    assert recording.samples[:, 0].tolist() == list(range(40))
    assert np.flatnonzero(np.diff(recording.sample) != 1).tolist() == [19]
    assert recording.mended == {"times that go back": 1}


def test_times_of_another_rate_only_tell_gaps() -> None:
    """As times in steps of 10 ms in a file of 50 Hz."""
    seconds = np.delete(np.arange(50) / (2 * RATE), [10, 11])
    recording = mended(seconds, seconds[:, None])
    np.testing.assert_array_equal(recording.sample, np.arange(50))
    assert recording.mended == {"samples with times of another rate": 48, "samples interpolated": 2}


@pytest.mark.parametrize("time", [1e300, -1e300, np.inf, np.nan])
def test_an_impossible_time_costs_no_more_than_a_gap(time: float) -> None:
    seconds = np.arange(30) / RATE
    seconds[15] = time
    recording = mended(seconds, np.arange(30.0)[:, None])
    assert len(recording.samples) >= 29
    assert recording.sample[-1] < 10**7
    assert (np.diff(recording.sample) > 0).all()
    assert recording.mended


@pytest.mark.parametrize("time", [-50.0, 0.0, 1e9])
def test_one_odd_time_does_not_divide(time: float) -> None:
    seconds = 20 + np.arange(30) / RATE
    seconds[15] = time
    recording = mended(seconds, np.arange(30.0)[:, None])
    np.testing.assert_allclose(recording.samples[:, 0], np.arange(30))
    assert recording.mended == {"rows of odd times": 1, "samples interpolated": 1}


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows(rows: int) -> None:
    recording = mended(np.arange(rows) / RATE, np.ones((rows, 2)))
    assert recording.samples.shape == (rows, 2)
    assert recording.sample.tolist() == list(range(rows))


def test_rows_without_any_sample_leave_nothing() -> None:
    recording = mended(np.arange(9) / RATE, np.full((9, 2), np.nan))
    assert recording.samples.shape == (0, 2)
    assert recording.mended == {"samples left out": 9}


def test_ends_are_not_extrapolated() -> None:
    values = np.array([np.nan, 1.0, np.nan, 3.0, np.inf])[:, None]
    filled = fill(np.arange(5), values, longest=10)
    np.testing.assert_array_equal(filled[:, 0], [np.nan, 1, 2, 3, np.inf])
    assert np.isnan(values[2, 0]), "the argument is left alone"


def test_repetitions_are_compared_in_all_columns() -> None:
    first, others = np.array([1.0, 1, 1, 2, 1]), np.array([[0.0], [1], [0], [0], [np.nan]])
    assert repeated(first, others).tolist() == [False, False, True, False, False]


def test_spreading_counts_each_repetition() -> None:
    row, number = spread(np.array([2, 1, 3]))
    assert row.tolist() == [0, 0, 1, 2, 2, 2]
    assert number.tolist() == [0, 1, 0, 0, 1, 2]


def test_resampling_filters_only_if_the_rate_falls() -> None:
    times = np.arange(0, 20, 0.01)
    slow, fast = np.sin(2 * np.pi * times), np.sin(2 * np.pi * 17 * times)
    wanted = np.arange(2, 18, 0.05)
    filtered = resample(wanted, times, np.column_stack([slow, fast]), 100, 20)
    np.testing.assert_allclose(filtered[:, 0], np.sin(2 * np.pi * wanted), atol=0.02)
    assert np.abs(filtered[:, 1]).max() < 0.05, "17 Hz cannot be told from 3 Hz at 20 Hz"
    same = resample(wanted, times, np.column_stack([slow, fast]), 20, 20)
    np.testing.assert_allclose(same[:, 1], np.sin(2 * np.pi * 17 * wanted), atol=1e-6)
