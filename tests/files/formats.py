"""Every format that is read: a small valid file of it, what reads it, and what is true of whatever can be read."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy.io import savemat

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tables import read_facts, read_table, write_facts, write_table
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.learning.evaluation.trained import HeadFacts, TrainedHead, read_heads, write_heads
from contrastive_har.learning.pretraining.checkpoints import Checkpoint, Checkpoints
from contrastive_har.learning.pretraining.encoders import EncoderSet, read_encoders, write_encoders
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import (
    BadRecordingError,
    Piece,
    Recording,
    Recordings,
    Rejection,
    read_recordings,
    write_recordings,
)
from contrastive_har.signals.roles import Roles, read_roles, rows_of, write_roles
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.sensors import Channel, Layout
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from contrastive_har.sources import IngestionSettings, open_source
from contrastive_har.use.calibration import Calibration
from contrastive_har.use.familiarity import Reference
from contrastive_har.use.new_recordings import open_new_recordings
from contrastive_har.use.recogniser_files import read_recogniser, write_recogniser
from contrastive_har.use.recognisers import Architecture, Origin, TrainedRecogniser, recognise
from contrastive_har.use.timelines import Timeline, TimelineRows, read_timeline, write_timeline
from tests.conftest import OWN_DESCRIPTION, own_frame
from tests.sources.test_mmact import put_clip
from tests.sources.test_official_files import COLUMNS
from tests.sources.test_stamped_files import put_axivity, put_numbers
from tests.sources.test_utd_mhad import utd_mhad
from tests.sources.test_wisdm import put as put_wisdm_rows
from tests.sources.test_wisdm import rows as wisdm_rows

SETTINGS = TPNSettings(channels=(4, 4), kernels=(8, 4))
BACKBONE = BackboneSettings(encoder=SETTINGS)
HEAD = LinearSettings()
BUDGET = LabelBudget(share=0.1)
RUN = "2026-01-31T12.00.00.000Z"
TRAINING = "a" * 64
DESCRIPTION = DatasetDescription.model_validate({**OWN_DESCRIPTION, "name": "synthetic", "groups": ["session"]})
LAYOUT = DESCRIPTION.layout(64)
TWO_MODALITIES = Layout(
    length=64,
    channels=(*DESCRIPTION.channels, Channel(name="hip", unit="m", modality="skeleton")),
)
ARCHITECTURE = Architecture(description=DESCRIPTION, length=64, stride=32, backbone=BACKBONE, head=HEAD)


def recordings() -> Recordings:
    frame = own_frame("anna", np.random.default_rng(0), seconds=2)
    samples = frame[["x", "y", "z"]].to_numpy(np.float32)
    activity = np.repeat(np.arange(3, dtype=np.int16), len(frame) // 3)
    only = Recording("anna", "first", np.arange(len(frame)), activity, samples, {"session": "2"})
    return Recordings(DESCRIPTION, lambda: iter([only, Rejection("second", "too short")]))


def put_windows(path: Path) -> None:
    write_windows(cut_windows(recordings(), WindowSettings(length=64, stride=32)), path)


def put_roles(path: Path) -> None:
    tables = []
    for repeat in range(2):
        tables.append(rows_of("unseen", repeat, None, "pretrain", np.arange(8)))
        tables.append(rows_of("unseen", repeat, BUDGET, "train", np.arange(2)))
        tables.append(rows_of("unseen", repeat, BUDGET, "validation", np.arange(8, 10)))
        tables.append(rows_of("unseen", repeat, BUDGET, "test", np.arange(10, 12)))
    write_roles(Roles(pd.concat(tables, ignore_index=True)), path)


def put_encoders(path: Path, settings: BackboneSettings = BACKBONE, layout: Layout = LAYOUT) -> None:
    with seeded(0):
        weights = settings.build(layout).state_dict()
    write_encoders(EncoderSet(settings, layout, "f", (weights, weights)), path)


def put_encoders_of_two_modalities(path: Path) -> None:
    narrow = TPNSettings(channels=(2, 2), kernels=(8, 4))
    put_encoders(path, BackboneSettings(encoder=SETTINGS, encoders={"skeleton": narrow}), TWO_MODALITIES)


def put_heads(path: Path) -> None:
    facts = HeadFacts(repeat=0, evaluation="linear", label_budget=BUDGET.name, validation_macro_f1=0.5, head=HEAD)
    weights = {"head.linear.weight": torch.ones(3, 4), "head.linear.bias": torch.zeros(3)}
    of_part = facts.model_copy(update={"validation_macro_f1": None, "modalities": ("inertial",)})
    write_heads([TrainedHead(facts, weights), TrainedHead(of_part, weights | {"backbone.x": torch.ones(2)})], path)


def recogniser() -> TrainedRecogniser:
    with seeded(0):
        backbone = BACKBONE.build(LAYOUT)
        weights = Recogniser(backbone, HEAD.build(backbone.features, DESCRIPTION.class_names)).state_dict()
    values = dict.fromkeys(("validation_macro_f1", "mean_validation_macro_f1", "mean_test_macro_f1"), 0.5)
    names = dict.fromkeys(("protocol", "split", "method", "evaluation"), "x")
    origin = Origin.model_validate({**names, **values, "label_budget": BUDGET.name, "repeat": 0})
    reference = Reference(np.ones((4, 6), np.float32), np.ones(6, np.float32))
    calibration = Calibration(temperature=2.0, windows=60, reason=None)
    return TrainedRecogniser(ARCHITECTURE, weights, origin, calibration=calibration, reference=reference)


def put_timeline(path: Path) -> None:
    rows = TimelineRows("first", np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.full((2, 3), 1 / 3), np.ones((2, 3)))
    write_timeline(Timeline(recogniser(), lambda: iter([rows])), path)


def put_checkpoint(path: Path) -> None:
    Checkpoints(path.parent, TRAINING, 1).save(Checkpoint(1, {"weights": torch.ones(8)}, {"steps": 1}))


def put_manifest(path: Path) -> None:
    manifest = Manifest(run_id=RUN, code="c", packages={}, parameters={})
    Manifests(path.parents[1]).begin(RUN, lambda known: manifest)


def put_zip(path: Path, inside: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(inside, content)


def motion_sense_csv() -> bytes:
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((20, 12)), columns=COLUMNS)
    return table.to_csv().encode()


def put_mat(path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((20, 6))
    savemat(path, {"title": "USC", "sensor_readings": samples}, do_compression=path.stem.endswith("2"))


def put_usc_had_zip(path: Path) -> None:
    mat = path.with_suffix(".mat")
    put_mat(mat)
    put_zip(path, "USC-HAD/Subject1/a1t1.mat", mat.read_bytes())
    mat.unlink()


def put_utd_mhad(path: Path) -> None:
    path.parent.rmdir()
    utd_mhad(path.parents[1], [(1, 1, 1)])


def put_mmact(path: Path) -> None:
    put_clip(next(parent for parent in path.parents if parent.name == "mmact"), (1, 1, 1, "walking"))


def put_wisdm(path: Path) -> None:
    times = np.arange(20) * 50_000_000
    for sensor in ("accel", "gyro"):
        put_wisdm_rows(path.parents[4], 1600, "watch", sensor, wisdm_rows("A", times))


def put_nested_zip(path: Path) -> None:
    inner = path.with_name("inner.zip")
    put_zip(inner, "A_DeviceMotion_data/wlk_7/sub_1.csv", motion_sense_csv())
    put_zip(path, "inner.zip", inner.read_bytes())
    inner.unlink()


def put_own_csv(path: Path) -> None:
    (path.parent / "dataset.yml").write_text(yaml.safe_dump(OWN_DESCRIPTION))
    own_frame("anna", np.random.default_rng(0), seconds=0.2).to_csv(path, index=False)


def put_own_parquet(path: Path) -> None:
    (path.parent / "dataset.yml").write_text(yaml.safe_dump(OWN_DESCRIPTION))
    own_frame("anna", np.random.default_rng(0), seconds=0.2).to_parquet(path)


def put_uci_har(path: Path) -> None:
    raw = next(parent for parent in path.parents if parent.name == "RawData")
    for sensor in ("acc", "gyro"):
        np.savetxt(raw / f"{sensor}_exp01_user01.txt", np.random.default_rng(0).standard_normal((20, 3)))
    (raw / "labels.txt").write_text("1 1 5 0 9\n1 1 4 10 19\n")


def opened(dataset: str, folder: Callable[[Path], Path] = lambda path: path.parent) -> Callable[[Path], Any]:
    def read(path: Path) -> list[Recording | Rejection]:
        settings = IngestionSettings(dataset=dataset, on_bad_recording="fail")
        return list(open_source(folder(path), settings).stream())

    return read


def check_recordings(read: list[Recording | Rejection | Piece]) -> None:
    for item in read:
        if isinstance(item, Piece):
            assert len(item.samples) == len(item.seconds)
            assert np.isfinite(item.samples).all()
        if isinstance(item, Recording):
            assert len(item.samples) == len(item.sample) == len(item.activity)
            assert np.isfinite(item.samples).all()


def check_stored_recordings(read: list[Recording | Rejection]) -> None:
    check_recordings(read)
    assert all(set(item.groups) == {"session"} for item in read if isinstance(item, Recording))


def check_windows(read: Windows) -> None:
    assert read.signals.shape == (len(read.table), read.length, len(read.description.channels))
    assert np.isfinite(read.signals).all()
    assert len(read.classes()) == len(read.table)
    assert (read.table["start"] < read.table["end"]).all()
    assert read.table["session"].notna().all()


def check_roles(read: Roles) -> None:
    found = 0
    for repeat in read.table["repeat"].unique():
        found += len(read.members(int(repeat), "pretrain"))
        found += sum(len(read.members(int(repeat), role, BUDGET)) for role in ("train", "validation", "test"))
    assert found <= len(read.table)
    assert isinstance(read.split, str)


def check_encoders(read: EncoderSet) -> None:
    for repeat in range(read.repeats):
        embedding = read.build(repeat)(torch.zeros(1, read.layout.length, read.layout.width))
        assert embedding.isfinite().all()


def check_heads(read: list[TrainedHead]) -> None:
    for one in read:
        head = one.facts.head.build(4, ["a", "b", "c"])
        head.load_state_dict({n.removeprefix("head."): v for n, v in one.weights.items() if n.startswith("head.")})
        assert head(torch.zeros(1, 4)).isfinite().all()


def check_recogniser(read: TrainedRecogniser) -> None:
    assert np.isfinite(recognise(read.build(), np.zeros((2, 64, 3), np.float32))).all()


@dataclass(frozen=True)
class Format:
    """A small valid file, how it is read, and what is true of whatever can be read.

    Attributes:
        name: In the names of tests.
        file: Its path.
        write: Writes it.
        read: Reads it.
        check: Checks what was read.
        error: What a broken one causes.
        parts_are_files: Whether the beginning of such a file can be such a file, as with lines of text.
    """

    name: str
    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    check: Callable[[Any], object] = bool
    error: type[Exception] = SchemaError
    parts_are_files: bool = False

    def put(self, folder: Path) -> Path:
        path = folder / self.file
        path.parent.mkdir(parents=True)
        self.write(path)
        return path


STORED = [
    Format(
        "table",
        "a/table.parquet",
        lambda path: write_table(pd.DataFrame({"a": [1, 2], "b": ["x", None]}), path, "scores"),
        lambda path: read_table(path, "scores"),
        check=lambda table: table.shape,
    ),
    Format(
        "facts",
        "a/facts.json",
        lambda path: write_facts({"a": [1, 2, {"b": "x"}]}, path, "leakage"),
        lambda path: read_facts(path, "leakage"),
    ),
    Format(
        "tensors",
        "a/tensors.safetensors",
        lambda path: write_tensors({"a": torch.ones(3), "b": torch.zeros(2, 2)}, path, "weights", more="x"),
        lambda path: read_tensors(path, "weights"),
        check=lambda read: [tensor.isfinite().all() for tensor in read[1].values()],
    ),
    Format(
        "recordings",
        "a/recordings.parquet",
        lambda path: write_recordings(recordings(), path),
        lambda path: list(read_recordings(path).stream()),
        check_stored_recordings,
    ),
    Format("windows", "a/windows.parquet", put_windows, read_windows, check_windows),
    Format("roles", "a/roles.parquet", put_roles, read_roles, check_roles),
    Format("encoders", "a/encoders.safetensors", put_encoders, read_encoders, check_encoders),
    Format(
        "encoders of two modalities",
        "a/encoders.safetensors",
        put_encoders_of_two_modalities,
        read_encoders,
        check_encoders,
    ),
    Format("heads", "a/heads.safetensors", put_heads, read_heads, check_heads),
    Format(
        "recogniser",
        "a/recogniser.safetensors",
        lambda path: write_recogniser(recogniser(), path),
        read_recogniser,
        check_recogniser,
    ),
    Format("timeline", "a/timeline.parquet", put_timeline, read_timeline, check=lambda table: table.shape),
    Format(
        "checkpoint",
        f"a/{TRAINING[:16]}-000001.safetensors",
        put_checkpoint,
        lambda path: Checkpoints(path.parent, TRAINING, 1)._read(path),
    ),
    Format(
        "manifest",
        f"manifest.json/{RUN}/manifest.json",
        put_manifest,
        lambda path: list(Manifests(path.parents[1]).newest_first()),
    ),
]
GIVEN = [
    Format("own CSV", "a/anna.csv", put_own_csv, opened("my_data"), parts_are_files=True),
    Format("own Parquet", "a/anna.parquet", put_own_parquet, opened("my_data")),
    Format("dataset.yml", "a/dataset.yml", lambda p: put_own_csv(p.with_name("anna.csv")), opened("my_data")),
    Format(
        "MotionSense zip",
        "a/A_DeviceMotion_data.zip",
        lambda path: put_zip(path, "A_DeviceMotion_data/wlk_7/sub_1.csv", motion_sense_csv()),
        opened("motion_sense"),
    ),
    Format(
        "MotionSense CSV",
        "A_DeviceMotion_data/wlk_7/sub_1.csv",
        lambda path: path.write_bytes(motion_sense_csv()),
        opened("motion_sense", lambda path: path.parents[2]),
        parts_are_files=True,
    ),
    Format("USC-HAD zip", "a/USC-HAD.zip", put_usc_had_zip, opened("usc_had")),
    Format("USC-HAD .mat", "USC-HAD/Subject1/a1t1.mat", put_mat, opened("usc_had", lambda path: path.parents[2])),
    Format(
        "USC-HAD compressed .mat",
        "USC-HAD/Subject1/a1t2.mat",
        put_mat,
        opened("usc_had", lambda path: path.parents[2]),
    ),
    Format(
        "UTD-MHAD skeletons",
        "Skeleton/a1_s1_t1_skeleton.mat",
        put_utd_mhad,
        opened("utd_mhad", lambda path: path.parents[1]),
    ),
    Format(
        "MMAct sensor",
        "mmact/acc_watch_clip/subject1/scene1/session1/walking.csv",
        put_mmact,
        opened("mmact", lambda path: path.parents[4]),
        parts_are_files=True,
    ),
    Format(
        "MMAct poses",
        "mmact/pose/cross_view/trainval/subject1/cam1/scene1/session1/walking.json",
        put_mmact,
        opened("mmact", lambda path: path.parents[7]),
    ),
    Format("zip in a zip", "a/data.zip", put_nested_zip, opened("motion_sense")),
    Format(
        "mHealth log",
        "a/mHealth_subject1.log",
        lambda path: put_numbers(path, np.ones((9, 24)), "\t"),
        opened("mhealth"),
        parts_are_files=True,
    ),
    Format("HARTH CSV", "a/S006.csv", lambda path: put_axivity(path, [1]), opened("harth"), parts_are_files=True),
    Format(
        "WISDM rows",
        "wisdm-dataset/raw/watch/gyro/data_1600_gyro_watch.txt",
        put_wisdm,
        opened("wisdm_watch", lambda path: path.parents[4]),
        parts_are_files=True,
    ),
    Format(
        "UCI-HAR samples",
        "RawData/acc_exp01_user01.txt",
        put_uci_har,
        opened("uci_har", lambda path: path.parents[1]),
        parts_are_files=True,
    ),
    Format(
        "UCI-HAR labels",
        "RawData/labels.txt",
        put_uci_har,
        opened("uci_har", lambda path: path.parents[1]),
        parts_are_files=True,
    ),
]
GIVEN += [
    Format(
        f"new {kind}",
        f"a/anna.{kind}",
        put,
        lambda path: list(open_new_recordings(path, DESCRIPTION.channels, DESCRIPTION.sampling_rate_hz, 0.25)),
        parts_are_files=kind == "csv",
    )
    for kind, put in (("csv", put_own_csv), ("parquet", put_own_parquet))
]
GIVEN = [replace(form, error=BadRecordingError, check=check_recordings) for form in GIVEN]
ALL = [*STORED, *GIVEN]
BY_NAME = {form.name: form for form in ALL}


def named(form: Format) -> str:
    return form.name


def refused(form: Format, path: Path, where: Path | None = None) -> str:
    """Return the message of the refusal: one line that names the file, or where there should be one."""
    with pytest.raises(form.error) as raised:
        form.read(path)
    message = str(raised.value)
    assert type(raised.value) is form.error
    assert str(where or path) in message
    assert "\n" not in message
    assert len(message) < 1000 + len(str(path))
    return message
