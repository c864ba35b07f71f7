"""Small folders of recordings as users have them: well-made ones, and each kind of what they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from contrastive_har.signals.recordings import Recording, Rejection
from contrastive_har.sources import IngestionSettings, open_source

RATE = 50
ROWS = 600
CHANNELS = ("acc_x", "acc_y", "acc_z")
DESCRIPTION: dict[str, Any] = {
    "title": "My recordings",
    "sampling_rate_hz": RATE,
    "channels": [{"name": name, "unit": "g"} for name in CHANNELS],
    "activities": {0: "sit", 1: "walk"},
}

Change = Callable[[pd.DataFrame], pd.DataFrame]


def table(subject: str = "anna", seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Return a recording of which the first half is at rest and the second is walking."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(rows) / RATE
    walks = np.arange(rows) >= rows // 2
    wave = np.where(walks, np.sin(2 * np.pi * 2 * seconds + seed), 0.0)
    samples = rng.normal(0, 0.02, (rows, 3)) + np.outer(wave, [0.4, 0.5, 0.3]) + [0.0, 1.0, 0.0]
    frame = pd.DataFrame({"subject": subject, "timestamp": seconds.round(2)})
    frame[list(CHANNELS)] = samples.round(4)
    return frame.assign(activity=np.where(walks, "walk", "sit"))


def describe(folder: Path, **changes: Any) -> None:
    """Write ``dataset.yml``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yml").write_text(yaml.safe_dump({**DESCRIPTION, **changes}, allow_unicode=True))


def put(folder: Path, frame: pd.DataFrame, name: str = "anna.csv", **options: Any) -> Path:
    """Write a table, and a description if there is none."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, **options)
    if not (folder / "dataset.yml").exists():
        describe(folder)
    return path


def ingest(folder: Path, on_bad: str = "reject") -> tuple[list[Recording], list[Rejection]]:
    """Return the recordings and what was left out."""
    settings = IngestionSettings.model_validate({"dataset": "my_data", "on_bad_recording": on_bad})
    items = list(open_source(folder, settings).stream())
    return (
        [item for item in items if isinstance(item, Recording)],
        [item for item in items if isinstance(item, Rejection)],
    )


def one(folder: Path) -> Recording:
    """Return the only recording, of which nothing was left out."""
    (recording,), rejected = ingest(folder)
    assert not rejected
    return recording


def refusal(folder: Path) -> str:
    """Return why the only recording was left out."""
    found, (rejected,) = ingest(folder)
    assert not found
    assert "\n" not in rejected.reason
    return rejected.reason


def minutes(recording: Recording) -> Mapping[int, int]:
    """Return the samples of each activity."""
    codes, counts = np.unique(recording.activity, return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))
