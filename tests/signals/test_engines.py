"""A cluster must find what one process finds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dask import config as dask_config
from distributed import LocalCluster

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.engines import LOCAL, EngineSettings
from contrastive_har.signals.recordings import BadRecordingError, read_recordings, write_recordings
from contrastive_har.signals.windows import write_windows
from contrastive_har.sources import IngestionSettings, open_source
from tests.conftest import own_frame


@pytest.fixture(scope="module")
def dask() -> Iterator[EngineSettings]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield EngineSettings(name="dask", address=cluster.scheduler_address)


def twice(number: int) -> Iterator[int]:
    yield from (number, number)


def fail_at_five(number: int) -> Iterator[int]:
    if number == 5:
        raise BadRecordingError("five.csv: a bad number. Take another.")
    yield number


def test_recordings_and_windows_are_identical(own_folder: Path, tmp_path: Path, dask: EngineSettings) -> None:
    rng = np.random.default_rng(3)
    for number in range(12):
        own_frame(f"s{number}", rng, seconds=3 + number / 7).to_csv(own_folder / f"s{number}.csv", index=False)
    broken = own_frame("broken", rng)
    broken.loc[7, "y"] = np.inf
    broken.to_csv(own_folder / "m.csv", index=False)
    (own_folder / "z.csv").write_bytes((own_folder / "s3.csv").read_bytes())
    files = {}
    for name, engine in {"local": LOCAL, "dask": dask}.items():
        recordings, windows = tmp_path / f"{name}.recordings.parquet", tmp_path / f"{name}.windows.parquet"
        write_recordings(open_source(own_folder, IngestionSettings(dataset="my_data"), engine), recordings)
        write_windows(cut_windows(read_recordings(recordings), WindowSettings(length=64, stride=16), engine), windows)
        files[name] = recordings.read_bytes(), windows.read_bytes()
    assert files["dask"] == files["local"]
    assert b"byte for byte" in files["dask"][0], "what was rejected is kept with its reason"


def test_order_is_kept_and_items_are_taken_as_needed(dask: EngineSettings) -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    found = dask.map(twice, numbers())
    first = [next(found) for _ in range(4)]
    assert first == [0, 0, 1, 1]
    assert len(taken) < 20, "no more than a few items ahead of the results"
    assert list(found) == [number for number in range(2, 100) for _ in range(2)]


def test_stopping_early_leaves_the_cluster_usable(dask: EngineSettings) -> None:
    found = dask.map(twice, range(100))
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert list(dask.map(twice, range(2))) == [0, 0, 1, 1]


def test_a_missing_scheduler_is_named() -> None:
    with dask_config.set({"distributed.comm.timeouts.connect": "1s"}):
        unreachable = EngineSettings(name="dask", address="tcp://127.0.0.1:9")
        with pytest.raises(ConnectionError, match=r"tcp://127\.0\.0\.1:9 .*correct engine\.address"):
            list(unreachable.map(twice, [1]))


@pytest.mark.parametrize("name", ["local", "dask"])
def test_errors_arrive_as_they_were_raised(name: str, dask: EngineSettings) -> None:
    engine = {"local": LOCAL, "dask": dask}[name]
    with pytest.raises(BadRecordingError, match=r"five\.csv: a bad number"):
        list(engine.map(fail_at_five, range(9)))


def test_a_cluster_on_this_machine_needs_no_address() -> None:
    assert list(EngineSettings(name="dask", workers=1).map(twice, range(3))) == [0, 0, 1, 1, 2, 2]


def test_a_missing_dask_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"contrastive-har\[dask\]"):
        list(EngineSettings(name="dask").map(twice, [1]))
