"""Time and memory of reading a user's CSV file, beside pandas reading the same file, alternately.

``python benchmarks/own_data.py`` makes one file of 1 GB with 29 people, each for 2.8 hours at 50 Hz, six channels;
``--megabytes`` makes another size.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc

from contrastive_har.signals.recordings import write_recordings
from contrastive_har.sources import IngestionSettings, open_source

CHANNELS = ["acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"]
DESCRIPTION = """title: Made
sampling_rate_hz: 50
modalities:
  inertial:
    acc: {unit: g, channels: [acc_x, acc_y, acc_z]}
    gyr: {unit: rad/s, channels: [gyr_x, gyr_y, gyr_z]}
activities: {0: sit, 1: walk}
"""
BYTES_OF_A_ROW = 70
ROWS_OF_A_RECORDING = 500_000


def make(folder: Path, megabytes: float) -> Path:
    """Write a file of about a size and its description."""
    rng = np.random.default_rng(0)
    people = max(1, round(megabytes * 1e6 / BYTES_OF_A_ROW / ROWS_OF_A_RECORDING))
    rows = ROWS_OF_A_RECORDING
    path = folder / "raw/all.csv"
    path.parent.mkdir()
    (folder / "raw/dataset.yml").write_text(DESCRIPTION)
    numbers = [(name, pa.float64()) for name in ("timestamp", *CHANNELS)]
    schema = pa.schema([("subject", pa.string()), *numbers, ("activity", pa.string())])
    with pc.CSVWriter(path, schema, write_options=pc.WriteOptions(quoting_style="none")) as writer:
        for person in range(people):
            samples = rng.normal(0, 0.3, (rows, 6)).round(5) + np.array([0, 0, 1, 0, 0, 0])
            walks = np.arange(rows) // 1500 % 2
            columns = [np.full(rows, f"s{person:02d}"), np.arange(rows) / 50, *samples.round(5).T]
            writer.write_table(pa.table([*columns, np.where(walks, "walk", "sit")], schema=schema))
    return path


def ingest(folder: Path) -> None:
    """Read the file, check it and store its recordings, as the ingestion stage does."""
    recordings = open_source(folder / "raw", IngestionSettings(dataset="my_data", on_bad_recording="fail"))
    write_recordings(recordings, folder / "recordings.parquet")


def peak_memory(folder: Path) -> float:
    """Return the peak memory in MB of ingestion in a process of its own."""
    code = f"import sys; sys.argv = ['', '--only', {str(folder)!r}]; exec(open({__file__!r}).read())"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=1000, help="size of the file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each reads it")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        ingest(options.only)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    # First: a process starts with the peak of the one that starts it.
    for size in (options.megabytes / 16, options.megabytes / 4, options.megabytes):
        with tempfile.TemporaryDirectory() as temporary:
            make(Path(temporary), size)
            print(f"peak memory at {size:.0f} MB: {peak_memory(Path(temporary)):.0f} MB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = make(folder, options.megabytes)
        print(f"{path.stat().st_size / 1e6:.0f} MB")
        seconds: dict[str, list[float]] = {"pandas": [], "ingestion": []}
        for _ in range(options.rounds):
            for name, call in (
                ("pandas", lambda: pd.read_csv(path, engine="pyarrow")),
                ("ingestion", lambda: ingest(folder)),
            ):
                started = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started)
        for name, values in seconds.items():
            print(
                f"{name}: {', '.join(f'{value:.1f}' for value in values)} s, median {statistics.median(values):.1f} s"
            )
        print(
            f"speed of ingestion: {statistics.median(seconds['pandas']) / statistics.median(seconds['ingestion']):.2f}"
        )


if __name__ == "__main__":
    main()
