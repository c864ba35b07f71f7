"""Pre-trains on more windows than fit into memory, and says how much memory that takes.

    python benchmarks/large_data.py --windows 10000000

Random walks, in a windows file of its own in the folder of temporary files, are pre-trained on for one epoch with a
small encoder. Memory that belongs to the process alone is looked at ten times a second; pages of the mapped file,
which the system takes back when memory is short, are counted apart.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import BackboneSettings, PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.sensors import Channel
from contrastive_har.signals.windows import WindowBatch, WindowStream, read_windows, write_windows

LENGTH = 64
OF_RECORDING = 10_000
NAMES = ("x", "y", "z")


class Memory:
    """The most memory of this process so far, in bytes: its own, and with the pages of mapped files."""

    def __init__(self) -> None:
        self.own = self.with_files = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            now = process.memory_info()
            self.own, self.with_files = max(self.own, now.rss - now.shared), max(self.with_files, now.rss)
            time.sleep(0.1)


def synthetic(count: int) -> WindowStream:
    """Return a stream of windows of random walks."""
    description = DatasetDescription(
        name="synthetic",
        title="Random walks",
        sampling_rate_hz=50,
        channels=tuple(Channel(name=name, unit="g") for name in NAMES),
        activities={0: "walk", 1: "run"},
    )

    def stream() -> Iterator[WindowBatch]:
        for first in range(0, count, OF_RECORDING):
            rng = np.random.default_rng(first)
            rows = min(OF_RECORDING, count - first)
            start = np.arange(rows) * LENGTH
            steps = rng.standard_normal((rows, LENGTH, len(NAMES)), np.float32)
            activity = np.full(rows, first // OF_RECORDING % 2, np.int16)
            name = str(first // OF_RECORDING)
            yield WindowBatch(name, name, start, start + LENGTH, activity, steps.cumsum(1, dtype=np.float32))

    return WindowStream(description, LENGTH, LENGTH, stream)


def main() -> None:
    """Write, read and pre-train, and print seconds and memory of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1024)
    arguments = parser.parse_args()
    memory, begin = Memory(), time.perf_counter()

    def say(step: str) -> None:
        print(
            f"{time.perf_counter() - begin:6.0f} s  {memory.own / 1e9:5.2f} GB own, {memory.with_files / 1e9:5.2f} GB "
            f"with pages of files  {step}",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "windows.parquet")
        write_windows(synthetic(arguments.windows), path)
        say(f"{arguments.windows:,} windows written, {path.stat().st_size / 1e9:.1f} GB")
        windows = read_windows(path)
    say(f"read into {'a mapped file' if isinstance(windows.signals, np.memmap) else 'memory'}")
    plan = PretrainingPlan(
        objective=ContrastiveSettings(projection=(16,)),
        backbone=BackboneSettings.model_validate({"encoder": {"name": "tpn", "channels": [8, 8, 8]}}),
        budget=PretrainingBudget(epochs=1, batch_size=arguments.batch, learning_rate=1e-3),
    )
    _, history = pretrain(windows, [np.arange(arguments.windows)], plan, ComputeSettings(device="cpu"))
    say(f"pre-trained, {history['windows_per_second'].iloc[-1]:,.0f} windows/s, loss {history['loss'].iloc[-1]:.3f}")


if __name__ == "__main__":
    main()
