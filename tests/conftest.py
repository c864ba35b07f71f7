"""Small synthetic recordings that every test can share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.windows import Windows, read_windows, write_windows


@pytest.fixture(autouse=True)
def no_tracking_server_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow puts what is in use into the environment, where the commands that tests start would find it."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


ACTIVITIES = {0: "rest", 1: "walk", 2: "run"}
RATE = 50


@pytest.fixture(scope="session")
def description() -> DatasetDescription:
    return DatasetDescription.model_validate(
        {
            "name": "synthetic",
            "title": "Synthetic",
            "sampling_rate_hz": RATE,
            "channels": [{"name": name, "unit": "g"} for name in ("x", "y", "z")],
            "activities": ACTIVITIES,
        }
    )


def movement(activity: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Sines whose frequency and size depend on the activity, (time, 3)."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * (0.6 + activity) * time[:, None] + phase) * (0.2 + activity)
    return (waves + 0.1 * rng.standard_normal(waves.shape)).astype(np.float32)


def recording(subject: str, rng: np.random.Generator, seconds: float = 8.0) -> Recording:
    """One recording of all three activities after each other."""
    parts = [movement(activity, seconds, rng) for activity in ACTIVITIES]
    samples = np.concatenate(parts)
    activity = np.repeat(np.array(list(ACTIVITIES), np.int16), [len(part) for part in parts])
    return Recording(subject, f"recording of {subject}", np.arange(len(samples)), activity, samples)


@pytest.fixture(scope="session")
def recordings(description: DatasetDescription) -> Recordings:
    rng = np.random.default_rng(0)
    made = [recording(str(subject), rng) for subject in range(1, 11)]
    return Recordings(description, lambda: iter(made))


@pytest.fixture(scope="session")
def windows(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("windows") / "windows.parquet"
    write_windows(cut_windows(recordings, WindowSettings(length=64, stride=32)), path)
    return read_windows(path)


OWN_DESCRIPTION = {
    "title": "Test recordings",
    "sampling_rate_hz": RATE,
    "channels": [{"name": name, "unit": "g"} for name in ("x", "y", "z")],
    "activities": ACTIVITIES,
}


def own_frame(subject: str, rng: np.random.Generator, seconds: float = 8.0) -> pd.DataFrame:
    """One recording as a user would store it."""
    made = recording(subject, rng, seconds)
    return pd.DataFrame(made.samples, columns=["x", "y", "z"]).assign(
        subject=subject,
        timestamp=made.sample / RATE,
        activity=[ACTIVITIES[int(code)] for code in made.activity],
    )


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder of two good recordings and their description."""
    folder = tmp_path / "my_data"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for subject in ("anna", "ben"):
        own_frame(subject, rng).to_csv(folder / f"{subject}.csv", index=False)
    (folder / "dataset.yml").write_text(yaml.safe_dump(OWN_DESCRIPTION))
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs, and with tests that share one.

    Several processes share the tests. None should be left with a long one at the end; and what one takes over from
    another comes from the end, so that few have to make the shared runs again.
    """
    shared = {"finished", "finished_few"}

    def rank(item: pytest.Item) -> tuple[bool, bool, bool]:
        kills = item.name.startswith("test_kills_at_random_moments")
        shares = not shared.isdisjoint(getattr(item, "fixturenames", ()))
        return not kills, "pipelines" not in item.path.parts, not shares

    items.sort(key=rank)
