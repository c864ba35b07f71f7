from __future__ import annotations

import hashlib
import io
import os
import pickle
from base64 import urlsafe_b64encode
from pathlib import Path

import numpy as np
import pytest

from contrastive_har.files.packages import PackagedFileError, locate
from contrastive_har.signals.augmentations import Rotation
from contrastive_har.signals.recordings import Recording
from contrastive_har.sources import OWN_DATA, IngestionSettings, describe_source, open_source, source_names, watch
from contrastive_har.sources.unpickling import InertUnpickler, Placeholder


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/should-never-exist",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_foreign_is_called(protocol: int) -> None:
    content = io.BytesIO(pickle.dumps(Harmful(), protocol))
    with pytest.raises(pickle.UnpicklingError, match="refused to load"):
        InertUnpickler(content).load()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__", "open"])
def test_builtins_are_refused(name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=f"builtins.{name}"):
        InertUnpickler(io.BytesIO(b"cbuiltins\n" + name.encode() + b"\n.")).load()


def test_arrays_come_through() -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": [slice(1, 2), "text"]}
    loaded = InertUnpickler(io.BytesIO(pickle.dumps(arrays))).load()
    np.testing.assert_array_equal(loaded["a"], arrays["a"])
    assert loaded["b"] == arrays["b"]


def test_placeholders_keep_their_state_and_do_nothing() -> None:
    class_name = (Harmful.__module__, "Harmful")
    loaded = InertUnpickler(io.BytesIO(pickle.dumps(Harmful)), frozenset({class_name})).load()
    assert loaded is Placeholder


def test_missing_packages_and_files_are_named() -> None:
    with pytest.raises(PackagedFileError, match="'pip install no-such-package'"):
        locate("no-such-package", "x")
    with pytest.raises(PackagedFileError, match="holds no 'no-such-file'"):
        locate("seglearn", "no-such-file")


def test_a_file_that_is_not_as_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of an installed package's files has a checksum for each."""
    noted = tmp_path / "parcel-1.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: parcel\nVersion: 1\n")
    checksum = urlsafe_b64encode(hashlib.sha256(b"content").digest()).decode().rstrip("=")
    (noted / "RECORD").write_text(f"noted.bin,sha256={checksum},7\nunnoted.bin,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("noted.bin", "unnoted.bin"):
        (tmp_path / name).write_bytes(b"content")
        assert locate("parcel", name) == tmp_path / name
    (tmp_path / "noted.bin").write_bytes(b"contend")
    with pytest.raises(
        PackagedFileError, match=r"noted\.bin: damaged or changed since 'parcel' was installed\. Install"
    ):
        locate("parcel", "noted.bin")


def test_the_watch_recordings(tmp_path: Path) -> None:
    source = open_source(tmp_path, IngestionSettings(dataset="watch", on_bad_recording="fail"))
    recordings = list(source)
    assert len(recordings) == 140
    assert len({recording.subject for recording in recordings}) == 10
    assert len({recording.name for recording in recordings}) == 140
    assert {int(recording.activity[0]) for recording in recordings} == set(range(7))
    assert all(isinstance(r, Recording) and r.samples.shape[1] == 6 for r in recordings)


@pytest.mark.parametrize("version", [b"\x93NUMPY\x02\x00", b"garbage"])
def test_a_broken_watch_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: bytes) -> None:
    path = tmp_path / "watch_dataset.npy"
    path.write_bytes(version + b"\x00" * 20)
    monkeypatch.setattr(watch, "locate", lambda package, suffix: path)
    with pytest.raises(PackagedFileError, match="Reinstall seglearn"):
        list(open_source(tmp_path, IngestionSettings(dataset="watch")))


def test_unknown_data_sets_are_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match=r"unknown data set 'nope'; known: uci_har, watch, .*, my_data",
    ):
        IngestionSettings(dataset="nope")
    assert {"uci_har", "watch", "motion_sense", "usc_had", "my_data"} <= set(source_names())


@pytest.mark.parametrize("name", [name for name in source_names() if name != OWN_DATA])
def test_public_data_sets_have_sensors_of_three_axes(name: str) -> None:
    """Beside skeletons, which come last; the first sensor measures acceleration."""
    layout = describe_source(name).layout(128)
    sensors = layout.joints("inertial")
    assert {len(axes) for axes in sensors.values()} == {3}
    assert "acc" in next(iter(sensors))
    assert list(layout.modalities) == ["inertial", *layout.skeletons]
    assert Rotation().problem(layout.only(["inertial"])) is None


@pytest.mark.parametrize("name", ["uci_har", "watch", "motion_sense", "motion_sense_user_acceleration", "usc_had"])
def test_data_sets_of_one_device_have_an_accelerometer_and_a_gyroscope(name: str) -> None:
    description = describe_source(name)
    layout = description.layout(128)
    assert list(layout.sensors.values()) == [(0, 1, 2), (3, 4, 5)]
    assert [sensor.rpartition("_")[2] for sensor in layout.sensors] == ["acc", "gyro"]
    assert layout.modalities == {"inertial": slice(0, 6)}
    assert description.groups == ()


@pytest.mark.parametrize(
    "damage",
    [
        *({"y": np.array(wrong)} for wrong in ([99], ["x"], [0, 1], [0.75], [65536], [np.nan])),
        *({"y": wrong} for wrong in (None, [0])),
        *({"subject": wrong} for wrong in ([1], np.array([None]), np.array([10**5000], object))),
        *({"X": [wrong]} for wrong in (["a"], [[0.0] * 6] * 5, np.array([[None] * 6]))),
    ],
)
def test_damaged_watch_recordings_are_told_with_their_file(
    damage: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: dict[str, object] = {"X": [np.zeros((5, 6))], "y": np.array([0]), "subject": np.array([1]), "side": [0]}
    monkeypatch.setattr(watch, "_read_object_array", lambda path: whole)
    assert len(list(open_source(tmp_path, IngestionSettings(dataset="watch")))) == 1
    content = {**whole, **damage}
    monkeypatch.setattr(watch, "_read_object_array", lambda path: content)
    with pytest.raises(PackagedFileError, match=r"watch_dataset.npy: cannot be read \(.*Reinstall seglearn"):
        list(open_source(tmp_path, IngestionSettings(dataset="watch")))
