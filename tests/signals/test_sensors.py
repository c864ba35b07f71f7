"""Channels, the sensors and modalities they belong to, and how a data set describes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.sensors import DEFAULT_MODALITY, Channel, Layout

MODALITIES: dict[str, Any] = {
    "inertial": {
        "wrist accelerometer": {"unit": "g", "channels": ["acc_x", "acc_y", "acc_z"]},
        "wrist gyroscope": {"unit": "rad/s", "channels": ["gyro_x", "gyro_y", "gyro_z"]},
    },
    "skeleton": {
        "left hand": {"unit": "m", "channels": ["left_x", "left_y"]},
        "right hand": {"unit": "m", "channels": ["right_x", "right_y"]},
    },
}
FLAT = [
    {"name": name, "unit": facts["unit"], "sensor": sensor, "modality": modality}
    for modality, sensors in MODALITIES.items()
    for sensor, facts in sensors.items()
    for name in facts["channels"]
]


def described(**changes: Any) -> DatasetDescription:
    facts = {
        "name": "synthetic",
        "title": "Synthetic",
        "sampling_rate_hz": 50,
        "activities": {0: "rest", 1: "walk"},
        **changes,
    }
    return DatasetDescription.model_validate(facts)


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("acc_x", "acc"),
        ("total_acc_z", "total_acc"),
        ("gravity.y", "gravity"),
        ("left-wrist-Y", "left-wrist"),
        ("body gyro z", "body gyro"),
        ("x", "sensor"),
        ("Z", "sensor"),
        ("heart_rate", None),
        ("acc_w", None),
        ("acc_x2", None),
    ],
)
def test_names_of_axes_say_their_sensor(name: str, sensor: str | None) -> None:
    assert Channel(name=name, unit="g").sensor == sensor
    assert Channel(name=name, unit="g").modality == DEFAULT_MODALITY == "inertial"
    assert Channel(name=name, unit="g", sensor="another").sensor == "another"
    assert Channel(name=name, unit="g", sensor=None).sensor is None, "no sensor may be declared too"


def test_a_layout_knows_its_sensors_and_modalities() -> None:
    layout = described(channels=FLAT).layout(64)
    assert (layout.length, layout.width) == (64, 10)
    assert layout.sensors == {
        "wrist accelerometer": (0, 1, 2),
        "wrist gyroscope": (3, 4, 5),
        "left hand": (6, 7),
        "right hand": (8, 9),
    }
    assert layout.modalities == {"inertial": slice(0, 6), "skeleton": slice(6, 10)}


def test_sensors_may_be_interleaved_and_channels_may_have_none() -> None:
    names = ("acc_x", "gyro_x", "pulse", "acc_y", "gyro_y", "acc_z", "gyro_z")
    layout = Layout(length=8, channels=tuple(Channel(name=name, unit="g") for name in names))
    assert layout.sensors == {"acc": (0, 3, 5), "gyro": (1, 4, 6)}
    assert layout.modalities == {"inertial": slice(0, 7)}


@pytest.mark.parametrize("wanted", [["skeleton"], ("inertial",), ["skeleton", "inertial"]])
def test_a_part_has_the_channels_of_its_modalities_in_their_order(wanted: list[str]) -> None:
    description = described(channels=FLAT, groups=["session"])
    expected = [Channel.model_validate(channel) for channel in FLAT if channel["modality"] in wanted]
    assert description.layout(64).only(wanted) == Layout(length=64, channels=tuple(expected))
    part = description.only(iter(wanted))
    assert part == description.model_copy(update={"channels": tuple(expected)})
    assert part.layout(64) == description.layout(64).only(wanted)
    assert description.channel_names == [channel["name"] for channel in FLAT], "the whole is as it was"


def test_a_part_begins_at_its_own_first_channel() -> None:
    layout = described(channels=FLAT).layout(64).only(["skeleton"])
    assert layout.modalities == {"skeleton": slice(0, 4)}
    assert layout.sensors == {"left hand": (0, 1), "right hand": (2, 3)}


def test_unknown_modalities_are_refused() -> None:
    message = r"unknown modalities \['video'\]; known are inertial, skeleton"
    with pytest.raises(ValueError, match=message):
        described(channels=FLAT).layout(64).only(["video", "skeleton"])
    with pytest.raises(ValueError, match=message):
        described(channels=FLAT).only(["video"])


def test_nothing_is_known_of_anonymous_channels() -> None:
    layout = Layout.anonymous(64, 30)
    assert (layout.length, layout.width) == (64, 30)
    assert layout.sensors == {}
    assert layout.modalities == {DEFAULT_MODALITY: slice(0, 30)}
    assert len({channel.name for channel in layout.channels}) == 30


@pytest.mark.parametrize(
    "layout",
    [
        described(channels=FLAT).layout(64),
        Layout.anonymous(16, 7),
        Layout(length=8, channels=(Channel(name="x", unit="g", sensor=None), Channel(name="acc_x", unit="g"))),
    ],
    ids=["declared", "anonymous", "an axis without a sensor"],
)
def test_layouts_come_back_from_json(layout: Layout) -> None:
    stored = Layout.model_validate_json(layout.model_dump_json())
    assert stored == layout
    assert (stored.sensors, stored.modalities) == (layout.sensors, layout.modalities)


@pytest.mark.parametrize("length", [0, -1])
def test_layouts_are_not_empty(length: int) -> None:
    with pytest.raises(ValueError, match="length"):
        Layout.anonymous(length, 3)
    with pytest.raises(ValueError, match="channels"):
        Layout(length=3, channels=())


def test_descriptions_by_modality_and_flat_ones_are_the_same() -> None:
    by_modality = described(modalities=MODALITIES)
    assert by_modality == described(channels=FLAT)
    assert by_modality.model_dump_json() == described(channels=FLAT).model_dump_json()
    assert DatasetDescription.model_validate_json(by_modality.model_dump_json()) == by_modality
    assert "modalities" not in json.loads(by_modality.model_dump_json()), "one form is stored"


def test_plain_names_are_the_same_as_sensors_of_one_modality() -> None:
    plain = described(
        channels=[{"name": f"{sensor}_{axis}", "unit": "g"} for sensor in ("acc", "mag") for axis in "xyz"]
    )
    sensors = {sensor: {"unit": "g", "channels": [f"{sensor}_{axis}" for axis in "xyz"]} for sensor in ("acc", "mag")}
    assert plain == described(modalities={"inertial": sensors})


def test_the_given_description_is_left_as_it_was() -> None:
    given = {
        "name": "synthetic",
        "title": "Synthetic",
        "sampling_rate_hz": 50,
        "activities": {0: "rest", 1: "walk"},
        "modalities": MODALITIES,
    }
    DatasetDescription.model_validate(given)
    assert given["modalities"] is MODALITIES
    assert "channels" not in given
    assert "recognised" not in given


def channel(name: str, modality: str = "inertial", sensor: str | None = None, unit: str = "g") -> dict[str, Any]:
    return {"name": name, "unit": unit, "sensor": sensor, "modality": modality}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"channels": [channel("a"), channel("b", "skeleton"), channel("c")]},
            "channel 'c' is apart from the other channels of modality 'inertial'; list",
        ),
        (
            {"channels": [channel("a", sensor="s"), channel("b", "skeleton", sensor="s")]},
            "sensor 's' belongs to several modalities",
        ),
        (
            {"modalities": {m: {"s": {"unit": "g", "channels": [m]}} for m in ("inertial", "skeleton")}},
            "sensor 's' belongs to several modalities",
        ),
        (
            {"channels": [{"name": "acc_x", "unit": "g"}, {"name": "acc_y", "unit": "m/s²"}]},
            r"sensor 'acc' has axes in different units \(g, m/s²\)",
        ),
        ({"channels": FLAT, "modalities": MODALITIES}, "give either 'channels' or 'modalities'"),
        ({"modalities": ["inertial"]}, "'modalities' must be"),
        ({"modalities": {}}, "channels: .*at least 1|channels"),
        ({"modalities": {"inertial": ["acc"]}}, "modality 'inertial' must list its sensors"),
        ({"modalities": {"inertial": {"acc": ["acc_x"]}}}, "sensor 'acc' must have a unit and channels"),
        ({"modalities": {"inertial": {"acc": {"channels": ["acc_x"]}}}}, "sensor 'acc' must have a unit and channels"),
        (
            {"modalities": {"inertial": {"acc": {"unit": "g", "channels": ["acc_x"], "rate": 50}}}},
            "sensor 'acc' must have a unit and channels, and nothing else",
        ),
        (
            {"modalities": {m: {m: {"unit": "g", "channels": ["same"]}} for m in ("inertial", "skeleton")}},
            "channel names must differ",
        ),
    ],
)
def test_impossible_channels_are_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        described(**facts)


@pytest.mark.parametrize("channels", [3, None, "xyz", {"acc_x": "g"}])
def test_channels_of_a_sensor_are_a_list(channels: object) -> None:
    with pytest.raises(ValueError, match="channels"):
        described(modalities={"inertial": {"acc": {"unit": "g", "channels": channels}}})


def test_axes_in_different_units_may_be_declared_to_have_no_sensor() -> None:
    description = described(channels=[channel("acc_x"), channel("acc_y", unit="m/s²")])
    assert description.layout(8).sensors == {}
