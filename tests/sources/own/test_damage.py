"""Generated damages of a valid file: each is understood, mended with a word, or refused; none is taken in silence."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastive_har.signals.recordings import Recording, Rejection
from tests.sources.own.made import describe, ingest, table

_ROWS = 120
_FAST, _ALL = 400, 10_000
_SEEDS = 8

Lines = list[str]
Damage = Callable[[Lines, np.random.Generator], Lines]


def _row(lines: Lines, rng: np.random.Generator) -> int:
    return int(rng.integers(20, len(lines) - 20))


def _cells(lines: Lines, row: int, change: Callable[[list[str]], list[str]]) -> Lines:
    return [*lines[:row], ",".join(change(lines[row].split(","))), *lines[row + 1 :]]


def _set(column: int | None, *values: str) -> Damage:
    def damage(lines: Lines, rng: np.random.Generator) -> Lines:
        place = int(rng.integers(2, 5)) if column is None else column
        value = str(rng.choice(values))
        return _cells(lines, _row(lines, rng), lambda cells: [*cells[:place], value, *cells[place + 1 :]])

    return damage


def _rename(column: int, *names: str) -> Damage:
    def damage(lines: Lines, rng: np.random.Generator) -> Lines:
        name = str(rng.choice(names))
        return _cells(lines, 0, lambda cells: [*cells[:column], name, *cells[column + 1 :]])

    return damage


def _times(factor: float) -> Damage:
    def damage(lines: Lines, rng: np.random.Generator) -> Lines:
        rows = [line.split(",") for line in lines[1:]]
        return [lines[0], *(",".join([r[0], f"{float(r[1]) * factor:.9g}", *r[2:]]) for r in rows)]

    return damage


def _scale(factor: float) -> Damage:
    def damage(lines: Lines, rng: np.random.Generator) -> Lines:
        rows = [line.split(",") for line in lines[1:]]
        return [lines[0], *(",".join([*r[:2], *(f"{float(v) * factor:.5g}" for v in r[2:5]), *r[5:]]) for r in rows)]

    return damage


def _without(lines: Lines, rng: np.random.Generator) -> Lines:
    row = _row(lines, rng)
    return [*lines[:row], *lines[row + int(rng.integers(1, 15)) :]]


def _again(lines: Lines, rng: np.random.Generator) -> Lines:
    row = _row(lines, rng)
    return [*lines[: row + 1], *lines[row : row + int(rng.integers(1, 5))], *lines[row + 1 :]]


def _swapped(lines: Lines, rng: np.random.Generator) -> Lines:
    row = _row(lines, rng)
    return [*lines[:row], lines[row + 1], lines[row], *lines[row + 2 :]]


def _back(lines: Lines, rng: np.random.Generator) -> Lines:
    row = _row(lines, rng)
    return [lines[0], *lines[row:], *lines[1:row]]


def _cut(lines: Lines, rng: np.random.Generator) -> Lines:
    row = _row(lines, rng)
    return [*lines[:row], lines[row][: int(rng.integers(1, lines[row].rindex(",")))]]


def _reordered(lines: Lines, rng: np.random.Generator) -> Lines:
    order = rng.permutation(6)
    return [",".join(np.array(line.split(","))[order]) if line else line for line in lines]


def _blank(lines: Lines, rng: np.random.Generator) -> Lines:
    row = int(rng.integers(1, len(lines)))
    return [*lines[:row], *[""] * int(rng.integers(1, 4)), *lines[row:]]


# In the order in which they are made: the first ones know how rows are written.
SAME: dict[str, Damage] = {
    "other columns first": _reordered,
    "a column more": lambda lines, rng: [lines[0] + ",note", *(line + ",ok" for line in lines[1:])],
    "a delimiter at the end of rows": lambda lines, rng: [lines[0], *(line + "," for line in lines[1:])],
    "quoted cells": lambda lines, rng: [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines],
    "blanks around names": lambda lines, rng: [lines[0], *(line.replace("anna", " anna ") for line in lines[1:])],
    "blank lines": _blank,
}
TOLD: dict[str, Damage] = {
    "lost rows": _without,
    "repeated rows": _again,
    "swapped rows": _swapped,
    "a clock that begins anew": _back,
    "a truncated row": _cut,
    "an impossible sample": _set(None, "65535", "1e30", "-1e9", "inf", "-32768"),
    "a missing sample": _set(None, "", "NaN", "nan", "NA", "null"),
    "no number": _set(None, "oops", "0,5", "1.2.3", "--", "0x10", "1_0"),
    "an unknown activity": _set(5, "swim", "Walk", "sit down", "2", "1.5"),
    "an empty subject": _set(0, "", " "),
    "another subject": _set(0, "ben", "Anna"),
    "no time": _set(1, "", "noon", "1e300", "inf", "2026-13-01"),
    "a time far off": _set(1, "-5", "1e9", "100"),
    "a cell more": lambda lines, rng: _cells(lines, _row(lines, rng), lambda cells: [*cells, "1"]),
    "a cell less": lambda lines, rng: _cells(lines, _row(lines, rng), lambda cells: cells[:-1]),
    "a renamed channel": _rename(2, "Acc_X", "x", "acc_y", ""),
    "renamed times": _rename(1, "Timestamp", "time", "Time (s)", "acc_x"),
    "renamed activities": _rename(5, "Activity", "label", "Class"),
    "renamed subjects": _rename(0, "Subject", "user", ""),
    "milliseconds": _times(1e3),
    "microseconds": _times(1e6),
    "a slower clock": _times(4.0),
    "metres": _scale(9.80665),
    "milli-g": _scale(1000.0),
}


def _taken(folder: Path, clean: Recording, expectation: str, what: str) -> None:
    found, left_out = ingest(folder)
    assert all(isinstance(one, Rejection) and "\n" not in one.reason and len(one.reason) < 2000 for one in left_out), (
        what
    )
    assert found or left_out, what
    if expectation == "same":
        assert found, f"{what}: {left_out}"
        (recording,) = found
        assert not recording.mended, what
        np.testing.assert_array_equal(recording.samples, clean.samples, err_msg=what)
        np.testing.assert_array_equal(recording.sample, clean.sample, err_msg=what)
        np.testing.assert_array_equal(recording.activity, clean.activity, err_msg=what)
    else:
        assert left_out or all(recording.mended for recording in found), what


def _damage(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = table(rows=_ROWS).to_csv(index=False).splitlines()
    describe(folder)
    path = folder / "anna.csv"
    path.write_text("\n".join(lines))
    (clean,), _ = ingest(folder)
    path.unlink()
    for number in range(count):
        told = rng.random() < 0.7
        others = list(SAME)[1:] if told else list(SAME)
        chosen = set(rng.choice(others, int(rng.integers(0 if told else 1, 3)), replace=False).tolist())
        names = [str(rng.choice(list(TOLD)))] if told else []
        names += [name for name in SAME if name in chosen]
        damaged = lines
        for name in names:
            damaged = {**SAME, **TOLD}[name](damaged, rng)
        end, encoding = str(rng.choice(["\n", "\r\n"])), str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
        content = end.join(damaged).encode(encoding)
        is_compressed = rng.random() < 0.2
        path = folder / ("anna.csv.gz" if is_compressed else "anna.csv")
        path.write_bytes(gzip.compress(content, 1) if is_compressed else content)
        _taken(folder, clean, "told" if told else "same", f"seed {seed}, number {number}: {names}, {encoding}")
        path.unlink()


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_no_damage_is_taken_in_silence(tmp_path: Path, seed: int) -> None:
    _damage(tmp_path, _FAST // _SEEDS, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + _SEEDS))
def test_ten_thousand_damages(tmp_path: Path, seed: int) -> None:
    _damage(tmp_path, _ALL // _SEEDS, seed)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_never_crash(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    describe(tmp_path)
    content = bytearray(table(rows=_ROWS).to_csv(index=False).encode())
    for _ in range(100):
        changed = bytearray(content)
        for place in rng.integers(0, len(changed), int(rng.integers(1, 20))):
            changed[place] = int(rng.integers(256))
        (tmp_path / "anna.csv").write_bytes(bytes(changed))
        found, left_out = ingest(tmp_path)
        assert found or left_out
        assert all("cannot be read (" not in one.reason or "anna.csv" in one.reason for one in left_out)
