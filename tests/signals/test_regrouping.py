"""Channels in other modalities than described, and windows of some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.splits import SplitSettings
from contrastive_har.signals.windows import Windows, read_windows, write_windows

JOINTS = ("head", "hips", "foot")
MODALITIES: dict[str, Any] = {
    "inertial": {
        "acc": {"unit": "g", "channels": ["acc_x", "acc_y", "acc_z"]},
        "gyro": {"unit": "rad/s", "channels": ["gyro_x", "gyro_y", "gyro_z"]},
    },
    "pulse": {"watch": {"unit": "1/min", "channels": ["rate"]}},
    "body": {joint: {"unit": "m", "channels": [f"{joint}_{axis}" for axis in "xyz"]} for joint in JOINTS},
}
DESCRIPTION = DatasetDescription.model_validate(
    {
        "name": "gym",
        "title": "Gym",
        "sampling_rate_hz": 10,
        "activities": {0: "rest", 1: "walk"},
        "modalities": MODALITIES,
        "skeletons": {"body": {"centre": "hips", "reference": ("head", "hips")}},
    }
)
WIDTH = 16


def grouped(**modalities: tuple[str, ...]) -> dict[str, list[str]]:
    """Names of the channels by modality, after regrouping."""
    found: dict[str, list[str]] = {}
    for channel in DESCRIPTION.regrouped(modalities).channels:
        found.setdefault(channel.modality, []).append(channel.name)
    return found


def axes(*sensors: str) -> list[str]:
    return [f"{sensor}_{axis}" for sensor in sensors for axis in "xyz"]


def test_sensors_become_modalities_of_their_own() -> None:
    assert grouped(accelerometer=("acc",), gyroscope=("gyro",)) == {
        "accelerometer": axes("acc"),
        "gyroscope": axes("gyro"),
    }
    assert grouped(arm=("gyro", "watch", "acc")) == {"arm": [*axes("gyro"), "rate", *axes("acc")]}


def test_whole_modalities_join_sensors() -> None:
    """In the order in which they are named, sensors and units as before."""
    regrouped = DESCRIPTION.regrouped({"worn": ("pulse", "inertial"), "camera": ("body",)})
    layout = regrouped.layout(5)
    assert layout.modalities == {"worn": slice(0, 7), "camera": slice(7, 16)}
    assert regrouped.channel_names == ["rate", *axes("acc", "gyro", *JOINTS)]
    by_name = {channel.name: channel for channel in DESCRIPTION.channels}
    for channel in regrouped.channels:
        before = by_name[channel.name]
        assert (channel.unit, channel.sensor) == (before.unit, before.sensor)
    assert regrouped.model_copy(update={"channels": (), "skeletons": {}}) == DESCRIPTION.model_copy(
        update={"channels": (), "skeletons": {}}
    )


@pytest.mark.parametrize(
    ("modalities", "kept"),
    [
        ({"body": ("body",)}, True),
        ({"acc": ("acc",), "body": ("body",)}, True),
        ({"body": ("foot", "hips", "head")}, True),
        ({"camera": ("body",)}, False),
        ({"body": ("head", "hips")}, False),
        ({"body": ("acc",)}, False),
        ({"body": ("body", "acc")}, False),
        ({"inertial": ("inertial",)}, False),
    ],
)
def test_a_modality_with_its_name_and_its_channels_keeps_its_skeleton(
    modalities: dict[str, tuple[str, ...]], kept: bool
) -> None:
    """An accelerometer beside the joints is none of them."""
    regrouped = DESCRIPTION.regrouped(modalities)
    assert regrouped.skeletons == (DESCRIPTION.skeletons if kept else {})
    assert regrouped.layout(5).skeletons == regrouped.skeletons


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        ({"hand": ("glove",)}, "modality 'hand' has an unknown sensor 'glove'; known are inertial, pulse, body, acc"),
        ({"hand": ("acc",), "foot": ("acc",)}, "sensor 'acc' belongs to 'hand' and to 'foot'"),
        ({"hand": ("acc", "acc")}, "sensor 'acc' belongs to 'hand' and to 'hand'"),
        ({"hand": ("gyro",), "all": ("inertial",)}, "sensor 'inertial' belongs to 'hand' and to 'all'"),
    ],
)
def test_what_there_is_not_or_is_asked_for_twice_is_refused(
    modalities: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DESCRIPTION.regrouped(modalities)


def recordings() -> Recordings:
    rng = np.random.default_rng(0)
    made = [
        Recording(
            *(name, f"of {name}", np.arange(40), np.repeat(np.int16([0, 1]), 20)),
            rng.standard_normal((40, WIDTH)).astype(np.float32),
        )
        for name in ("anna", "ben")
    ]
    return Recordings(DESCRIPTION, lambda: iter(made))


def cut(path: Path, **settings: Any) -> Windows:
    write_windows(cut_windows(recordings(), WindowSettings.model_validate(settings)), path)
    return read_windows(path)


@pytest.mark.parametrize("how", [{"length": 8, "stride": 4}, {"cut": "clips", "length": 12}])
def test_windows_have_the_chosen_sensors_only(tmp_path: Path, how: dict[str, Any]) -> None:
    whole = cut(tmp_path / "whole.parquet", **how)
    part = cut(tmp_path / "part.parquet", **how, modalities={"turn": ["gyro"], "body": ["body"], "acc": ["acc"]})
    expected = [*axes("gyro", *JOINTS, "acc")]
    assert part.description.channel_names == expected
    assert list(part.layout.modalities) == ["turn", "body", "acc"]
    assert part.description.skeletons == DESCRIPTION.skeletons
    columns = [DESCRIPTION.channel_names.index(name) for name in expected]
    np.testing.assert_array_equal(part.signals, whole.signals[..., columns])
    assert part.table.equals(whole.table)


def test_an_unknown_sensor_is_refused_before_anything_is_cut() -> None:
    settings = WindowSettings(length=8, stride=4, modalities={"hand": ("glove",)})
    with pytest.raises(ValueError, match=r"windows\.modalities does not suit 'gym': modality 'hand' has an unknown"):
        cut_windows(recordings(), settings)
    with pytest.raises(ValueError, match="modalities"):
        WindowSettings(length=8, stride=4, modalities={"hand": ()})


def test_only_some_modalities_of_windows(tmp_path: Path) -> None:
    whole = cut(tmp_path / "whole.parquet", length=8, stride=4)
    assert whole.only(None) is whole
    assert whole.only(["body", "pulse", "inertial"]) is whole
    for wanted, columns in ((["pulse"], [6]), (["body", "inertial"], [*range(6), *range(7, 16)])):
        part = whole.only(iter(wanted))
        np.testing.assert_array_equal(part.signals, whole.signals[..., columns])
        assert part.signals.flags.c_contiguous
        assert set(part.layout.modalities) == set(wanted)
        assert bool(part.description.skeletons) == ("body" in wanted)
        assert part.table is whole.table
    with pytest.raises(ValueError, match=r"unknown modalities \['video'\]; known are inertial, pulse, body"):
        whole.only(["video", "body"])


def test_a_split_may_be_for_some_data_sets() -> None:
    facts = {"title": "T", "leak_free": True, "held_out": "subject", "pretrain_on": "train"}
    assert SplitSettings.model_validate(facts).is_for("gym")
    some = SplitSettings.model_validate({**facts, "datasets": ["utd_mhad", "mmact"]})
    assert [some.is_for(name) for name in ("mmact", "utd_mhad", "gym")] == [True, True, False]
