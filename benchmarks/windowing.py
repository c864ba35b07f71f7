"""Times ingestion, windowing and reading on 1, 4 and 16 copies of the default recordings, with their peak memory.

    python benchmarks/windowing.py

Each measurement runs in a process of its own, since peak memory is a process's. Windowing is also timed, in turn,
against a plain pandas rolling-window loop that reads the same recordings and must find the same windows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.recordings import Recording, Recordings, read_recordings, write_recordings
from contrastive_har.signals.windows import read_windows, write_windows
from contrastive_har.sources import IngestionSettings, open_source

SETTINGS = WindowSettings(length=128, stride=64)


def copies(count: int) -> Recordings:
    """Return the default recordings several times over, the samples of each copy a little louder."""
    original = open_source(Path("nowhere"), IngestionSettings(dataset="uci_har"))

    def stream() -> Iterator[Recording]:
        for copy in range(count):
            for recording in original:
                yield replace(
                    recording, name=f"{recording.name}, copy {copy}", samples=recording.samples * np.float32(1 + copy)
                )

    return Recordings(original.description, stream)


def ingest(folder: Path, count: int) -> None:
    """Raw files to recordings."""
    write_recordings(copies(count), folder / f"recordings-{count}.parquet")


def window(folder: Path, count: int) -> None:
    """Recordings to windows."""
    recordings = read_recordings(folder / f"recordings-{count}.parquet")
    write_windows(cut_windows(recordings, SETTINGS), folder / f"windows-{count}.parquet")


def read(folder: Path, count: int) -> None:
    """Windows to one array, which is what memory grows by."""
    read_windows(folder / f"windows-{count}.parquet")


def pandas_loop(folder: Path, count: int) -> None:
    """Recordings to windows as one would write it first: a rolling window over each stretch of one activity."""
    length, stride = SETTINGS.in_samples(50)
    frame = pd.read_parquet(folder / f"recordings-{count}.parquet")
    channels = list(frame.columns[4:])
    rows = []
    for name, recording in frame.groupby("recording", sort=False):
        stretches = (recording["activity"] != recording["activity"].shift()).cumsum()
        for _, stretch in recording.groupby(stretches):
            if not 1 <= stretch["activity"].iloc[0] <= 6:
                continue
            for start in range(0, len(stretch) - length + 1, stride):
                cut = stretch.iloc[start : start + length]
                rows.append((name, cut["sample"].iloc[0], cut[channels].to_numpy().ravel()))
    pd.DataFrame(rows, columns=["recording", "start", "signal"]).to_parquet(folder / f"pandas-{count}.parquet")


STAGES: dict[str, Callable[[Path, int], None]] = {
    function.__name__: function for function in (ingest, window, read, pandas_loop)
}


def measure(stage: str, folder: Path, count: int) -> tuple[float, float]:
    """Run a stage in a process of its own; return its seconds, imports left out, and its peak memory in MB."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--copies", str(count)]
    seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, peak


def require_agreement(folder: Path, count: int) -> None:
    """Fail unless the loop found the very windows that we did."""
    ours = read_windows(folder / f"windows-{count}.parquet")
    theirs = pd.read_parquet(folder / f"pandas-{count}.parquet")
    np.testing.assert_array_equal(theirs["recording"], ours.table["recording"])
    np.testing.assert_array_equal(theirs["start"], ours.table["start"])
    np.testing.assert_array_equal(np.stack(theirs["signal"]), ours.signals.reshape(len(theirs), -1))
    print(f"agreement  both find the same {len(theirs)} windows")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each timing everything once (default 3)")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4, 16], help="sizes (default 1 4 16)")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stage:
        started = time.perf_counter()
        STAGES[chosen.stage](chosen.folder, chosen.copies[0])
        print(json.dumps([time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = [(stage, count) for count in chosen.copies for stage in ("ingest", "window", "read")]
        work.append(("pandas_loop", chosen.copies[0]))
        measured: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in work}
        for _ in tqdm(range(chosen.rounds), unit=" rounds", disable=None):
            for stage, count in work:
                measured[stage, count].append(measure(stage, folder, count))
        require_agreement(folder, chosen.copies[0])
        for stage in ("ingest", "window", "read"):
            print(f"\n{stage:<10} {STAGES[stage].__doc__}")
            for count in chosen.copies:
                seconds, peaks = zip(*measured[stage, count], strict=True)
                median = statistics.median(seconds)
                size = (folder / f"{'recordings' if stage == 'ingest' else 'windows'}-{count}.parquet").stat().st_size
                print(
                    f"  {count:3d} x  {median:7.2f} s  {1e3 * median / count:7.0f} ms a copy  "
                    f"{size / median / 1e6:6.0f} MB/s  peak {statistics.median(peaks):5.0f} MB"
                )
        ours, loop = (measured[stage, chosen.copies[0]] for stage in ("window", "pandas_loop"))
        ratio = statistics.median(theirs[0] / mine[0] for mine, theirs in zip(ours, loop, strict=True))
        seconds, peaks = (statistics.median(values) for values in zip(*loop, strict=True))
        print(f"\npandas     {pandas_loop.__doc__}")
        print(f"  {chosen.copies[0]:3d} x  {seconds:7.2f} s  peak {peaks:5.0f} MB: windowing is {ratio:.1f} x as fast")


if __name__ == "__main__":
    main()
