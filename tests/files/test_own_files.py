"""Own and official files of hostile content: descriptions, tables and labels that no program should trust."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from contrastive_har.signals.recordings import BadRecordingError
from tests.conftest import OWN_DESCRIPTION
from tests.files.formats import BY_NAME, opened, refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.mkdir ['{marker}']", "not valid YAML"),
        ("when: 2026-99-99", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("{description}\nactivities: 5", "activities: "),
        ("{description}\nsampling_rate_hz: .inf", "sampling_rate_hz: "),
        ("{description}\nchannels: [{{name: activity, unit: g}}]", "no channel or group can be named"),
        ("{description}\ngroups: 5", "groups: "),
        ("{description}\ngroups: [x]", "no group can be named"),
        ("{description}\n1: 2", "1: "),
        ("{description}\nmodalities: {{}}", "either 'channels' or 'modalities'"),
    ],
)
def test_a_hostile_description_is_refused(text: str, message: str, tmp_path: Path) -> None:
    form = BY_NAME["dataset.yml"]
    path = form.put(tmp_path)
    marker = tmp_path / "marker"
    path.write_text(text.format(marker=marker, description=yaml.safe_dump(OWN_DESCRIPTION)))
    assert message in refused(form, path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        (5, "'modalities' must be"),
        ({}, "channels: "),
        ({"inertial": 5}, "modality 'inertial' must list its sensors"),
        ({"inertial": {"hip": 5}}, "sensor 'hip' must have a unit and channels"),
        ({"inertial": {"hip": {"unit": "g"}}}, "sensor 'hip' must have a unit and channels"),
        ({"inertial": {"hip": {"unit": "g", "channels": ["x"], "more": 1}}}, "sensor 'hip' must have a unit and"),
        ({"inertial": {"hip": {"unit": "g", "channels": [1, "y", "z"]}}}, "channels.0.name: "),
        ({1: {"hip": {"unit": "g", "channels": ["x", "y", "z"]}}}, "channels.0.modality: "),
        ({"inertial": {2: {"unit": "g", "channels": ["x", "y", "z"]}}}, "channels.0.sensor: "),
        ({"inertial": {"hip": {"unit": "g", "channels": 5}}}, "sensor 'hip'"),
        ({"inertial": {"hip": {"unit": "g", "channels": None}}}, "sensor 'hip'"),
        ({"inertial": {"hip": {"unit": "g", "channels": "xyz"}}}, "sensor 'hip'"),
    ],
    ids=str,
)
def test_hostile_modalities_are_refused(modalities: object, message: str, tmp_path: Path) -> None:
    form = BY_NAME["dataset.yml"]
    path = form.put(tmp_path)
    others = {key: value for key, value in OWN_DESCRIPTION.items() if key != "channels"}
    path.write_text(yaml.safe_dump({**others, "modalities": modalities}))
    assert message in refused(form, path)


@pytest.mark.parametrize(
    "channels",
    [
        {"channels": [{"name": "x", "unit": "rad/s"}]},
        {"modalities": {"inertial": {"hip": {"unit": "rad/s", "channels": ["x", "y", "z"]}}}},
    ],
    ids=["flat", "by modality"],
)
def test_new_recordings_in_other_units_are_refused(channels: dict[str, object], tmp_path: Path) -> None:
    form = BY_NAME["new csv"]
    path = form.put(tmp_path)
    description = path.with_name("dataset.yml")
    description.write_text(yaml.safe_dump(channels))
    assert "channel 'x' is in rad/s, the model expects g" in refused(form, path, description)


OWN_FRAMES: dict[str, Callable[[pd.DataFrame], pd.DataFrame | pa.Table]] = {
    "two columns of one name": lambda frame: pa.Table.from_arrays(
        [pa.array(frame[name]) for name in (*frame.columns, "x")], [*frame.columns, "x"]
    ),
    "lists": lambda frame: frame.assign(x=[[1.0]] * len(frame)),
    "bytes": lambda frame: frame.assign(x=[b"\xff"] * len(frame)),
    "subjects that are huge numbers": lambda frame: frame.assign(subject=1e300),
    "a time of two zones": lambda frame: frame.assign(
        timestamp=["2026-01-31T12:00:00+01:00", *["2026-01-31T12:00:00+02:00"] * (len(frame) - 1)]
    ),
    "an infinite time": lambda frame: frame.assign(timestamp=np.inf),
}


@pytest.mark.parametrize("change", OWN_FRAMES)
def test_own_files_of_strange_content_are_refused(change: str, tmp_path: Path) -> None:
    form = BY_NAME["own Parquet"]
    path = form.put(tmp_path)
    made = OWN_FRAMES[change](pd.read_parquet(path))
    pq.write_table(made if isinstance(made, pa.Table) else pa.Table.from_pandas(made), path)
    refused(form, path)


@pytest.mark.parametrize("row", ["1 1 nan 0 9", "1 1 5.5 0 9", "1 1 5 0 1e300", "1 1 70000 0 9", "1 1 99 0 9"])
def test_hostile_labels_are_refused(row: str, tmp_path: Path) -> None:
    path = BY_NAME["UCI-HAR labels"].put(tmp_path)
    path.write_text(row + "\n")
    with pytest.raises(BadRecordingError, match="RawData"):
        opened("uci_har")(path.parent)
