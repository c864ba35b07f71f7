"""Windows of the bundled watch data, also in two modalities."""

from __future__ import annotations

import pytest

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from contrastive_har.sources import IngestionSettings, open_source


@pytest.fixture(scope="session")
def watch_windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("watch") / "windows.parquet"
    source = open_source(path.parent, IngestionSettings(dataset="watch"))
    write_windows(cut_windows(source, WindowSettings(length=64, stride=1536)), path)
    return read_windows(path)


@pytest.fixture(scope="session")
def two_modalities(watch_windows: Windows) -> Windows:
    """The same windows, with accelerometer and gyroscope as modalities."""
    channels = tuple(
        channel.model_copy(update={"modality": str(channel.sensor)}) for channel in watch_windows.description.channels
    )
    description = watch_windows.description.model_copy(update={"channels": channels})
    return Windows(description, watch_windows.length, watch_windows.stride, watch_windows.table, watch_windows.signals)
