"""Files that are broken, foreign or made to harm: each reader refuses them with one error that names the file."""

from __future__ import annotations

import json
import os
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.io import savemat

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tables import read_facts, read_table, write_facts, write_table
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.learning.evaluation.classifiers import TrainedClassifier, read_classifiers, write_classifiers
from contrastive_har.learning.pretraining.checkpoints import Checkpoint, Checkpoints
from contrastive_har.learning.pretraining.encoders import (
    EncoderSet,
    TrainedEncoder,
    build_encoder,
    read_encoders,
    write_encoders,
)
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.recogniser import Recogniser
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.files import stamps as schema
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Piece, Recording, Recordings, Rejection, read_recordings, write_recordings
from contrastive_har.signals.seeds import seeded
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from contrastive_har.sources import IngestionSettings, archive, open_source
from contrastive_har.use.new_recordings import open_new_recordings
from contrastive_har.use.recognisers import (
    Origin,
    TrainedRecogniser,
    read_recogniser,
    recognise,
    write_recogniser,
)
from tests.conftest import OWN_DESCRIPTION, own_frame
from tests.sources.test_official_files import COLUMNS

FUZZ_BUDGET = 100  # damaged files of each format
SETTINGS = TPNSettings(channels=(4, 4), kernels=(8, 4))
RUN = "2026-01-31T12.00.00.000Z"
TRAINING = "a" * 64
DESCRIPTION = DatasetDescription.model_validate({**OWN_DESCRIPTION, "name": "synthetic"})


def recordings() -> Recordings:
    frame = own_frame("anna", np.random.default_rng(0), seconds=2)
    samples = frame[["x", "y", "z"]].to_numpy(np.float32)
    activity = np.repeat(np.arange(3, dtype=np.int16), len(frame) // 3)
    only = Recording("anna", "first", np.arange(len(frame)), activity, samples)
    return Recordings(DESCRIPTION, lambda: iter([only, Rejection("second", "too short")]))


def put_windows(path: Path) -> None:
    write_windows(cut_windows(recordings(), WindowSettings(length=64, stride=32)), path)


def put_encoders(path: Path) -> None:
    with seeded(0):
        weights = build_encoder(SETTINGS, (64, 3)).state_dict()
    trained = TrainedEncoder(weights, Normalisation(np.zeros(3, np.float32), np.ones(3, np.float32)))
    write_encoders(EncoderSet(SETTINGS, (64, 3), "f", (trained, trained)), path)


def put_classifiers(path: Path) -> None:
    weights = {"classifier.weight": torch.ones(3, 4), "classifier.bias": torch.zeros(3)}
    write_classifiers([TrainedClassifier(0, "linear", 0.1, 0.5, weights)] * 2, path)


def put_recogniser(path: Path) -> None:
    with seeded(0):
        weights = Recogniser(build_encoder(SETTINGS, (64, 3)), 3, 3).state_dict()
    values = dict.fromkeys(("validation_macro_f1", "mean_validation_macro_f1", "mean_test_macro_f1"), 0.5)
    names = dict.fromkeys(("protocol", "split", "method", "evaluation"), "x")
    origin = Origin.model_validate({**names, **values, "label_fraction": 0.1, "repeat": 0})
    write_recogniser(TrainedRecogniser(DESCRIPTION, 64, 32, SETTINGS, weights, origin), path)


def check_recogniser(read: TrainedRecogniser) -> None:
    assert np.isfinite(recognise(read.build(), np.zeros((2, 64, 3), np.float32))).all()


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


def check_windows(read: Windows) -> None:
    assert read.signals.shape == (len(read.table), read.length, len(read.description.channels))
    assert np.isfinite(read.signals).all()
    assert len(read.classes()) == len(read.table)


def check_encoders(read: EncoderSet) -> None:
    for repeat in range(len(read.encoders)):
        embedding = read.build(repeat)(torch.zeros(1, *read.shape))
        assert embedding.isfinite().all()


@dataclass(frozen=True)
class Format:
    """A small valid file, how it is read, and what is true of whatever can be read.

    Attributes:
        name: For people.
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
    Format("encoders", "a/encoders.safetensors", put_encoders, read_encoders, check_encoders),
    Format("classifiers", "a/classifiers.safetensors", put_classifiers, read_classifiers),
    Format("recogniser", "a/recogniser.safetensors", put_recogniser, read_recogniser, check_recogniser),
    Format(
        "checkpoint",
        f"a/{TRAINING[:16]}-000001.safetensors",
        put_checkpoint,
        lambda path: Checkpoints(path.parent, TRAINING, 1)._read(path),
    ),
    Format(
        "recordings",
        "a/recordings.parquet",
        lambda path: write_recordings(recordings(), path),
        lambda path: list(read_recordings(path).stream()),
        check_recordings,
    ),
    Format("windows", "a/windows.parquet", put_windows, read_windows, check_windows),
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
        lambda path: list(open_new_recordings(path, DESCRIPTION.channels, 7)),
        parts_are_files=kind == "csv",
    )
    for kind, put in (("csv", put_own_csv), ("parquet", put_own_parquet))
]
GIVEN = [Format(**{**vars(f), "error": BadRecordingError, "check": check_recordings}) for f in GIVEN]
ALL = [*STORED, *GIVEN]
BY_NAME = {form.name: form for form in ALL}


def named(form: Format) -> str:
    return form.name


def refused(form: Format, path: Path, place: Path | None = None) -> str:
    """Return the message of the refusal: one line that names the file, or where there should be one."""
    with pytest.raises(form.error) as raised:
        form.read(path)
    message = str(raised.value)
    assert type(raised.value) is form.error
    assert str(place or path) in message
    assert "\n" not in message
    assert len(message) < 1000 + len(str(path))
    return message


class Harmful:
    """What a pickle can do to whoever loads it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ALL, ids=named)
def test_a_valid_file_is_read(form: Format, tmp_path: Path) -> None:
    form.check(form.read(form.put(tmp_path)))


@pytest.mark.parametrize("form", ALL, ids=named)
@pytest.mark.parametrize("content", ["empty", "random", "text", "pickle", "torch"])
def test_foreign_content_is_refused_and_never_run(form: Format, content: str, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    marker = tmp_path / "marker"
    if content == "torch":
        torch.save(Harmful(marker), path)
    else:
        path.write_bytes(
            {
                "empty": b"",
                "random": np.random.default_rng(0).bytes(3000),
                "text": b"<html>404 Not Found</html>\n",
                "pickle": pickle.dumps(Harmful(marker)),
            }[content]
        )
    # A torch file is a zip archive: an honest one, only without recordings.
    refused(form, path, path.parent if content == "torch" and path.suffix == ".zip" else path)
    assert not marker.exists()


@pytest.mark.parametrize("form", [f for f in ALL if not f.parts_are_files], ids=named)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_a_truncated_file_is_refused(form: Format, share: float, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(form, path)


@pytest.mark.parametrize("form", [f for f in STORED if f.name != "manifest"], ids=named)
def test_a_missing_file_is_named(form: Format, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    path.unlink()
    refused(form, path)


@pytest.mark.parametrize("form", STORED, ids=named)
def test_another_version_is_refused(form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "SCHEMA_VERSION", "2")
        path = form.put(tmp_path)
    assert "schema version 2, this release reads 1. Run the pipeline again" in refused(form, path)


@pytest.mark.parametrize("form", STORED, ids=named)
def test_another_kind_is_refused(form: Format, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    if path.suffix == ".parquet":
        write_table(pd.DataFrame({"a": [1]}), path, "another")
    elif path.suffix == ".json":
        write_facts({}, path, "another")
    else:
        write_tensors({}, path, "another")
    assert "holds 'another', not '" in refused(form, path)


def forge(path: Path, **entries: Any) -> None:
    """Rewrite a stored file with other entries in its header and without those that are None."""

    def changed(header: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in {**header, **entries}.items() if value is not None}

    if path.suffix == ".json":
        path.write_text(json.dumps(changed(json.loads(path.read_text()))))
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        stored = {**table.schema.metadata, **pq.read_metadata(path).metadata}
        header = {key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"}
        pq.write_table(table.replace_schema_metadata(changed(header)), path)
    else:
        header, tensors = opened_tensors(path)
        write_tensors(tensors, path, **changed(header))


def opened_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Return a file's header, as write_tensors takes it, and its tensors, unchecked."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata()
    return {key: header[key] for key in header.keys() - {"schema_version", "checksum"}}, tensors


def other_description(**changes: object) -> str:
    return json.dumps({**DESCRIPTION.model_dump(mode="json"), **changes})


HEADERS: list[tuple[str, dict[str, Any]]] = [
    *(("facts", {"facts": facts}) for facts in (None, 5, "text", [1])),
    *(("manifest", {"facts": facts}) for facts in (None, 5, {}, {"run_id": RUN})),
    ("manifest", {"facts": {"run_id": "../..", "code": "", "packages": {}, "parameters": {}}}),
    *(("recordings", {"description": text}) for text in (None, "", "{", "5", "{}")),
    ("recordings", {"description": other_description(activities=5)}),
    ("recordings", {"description": other_description(activities={"7": "a", "8": "b"}, recognised=[])}),
    ("recordings", {"description": other_description(channels=[{"name": "w", "unit": "g"}])}),
    ("recordings", {"description": other_description(channels=[{"name": "subject", "unit": "g"}])}),
    *(("recordings", {"rejections": text}) for text in (None, "{", "5", "[5]", '[{"a": "b"}]')),
    *(("windows", {"description": text}) for text in (None, "{", "{}", other_description(activities=5))),
    ("windows", {"description": other_description(activities={"7": "a", "8": "b"}, recognised=[])}),
    ("windows", {"description": other_description(channels=[{"name": "w", "unit": "g"}])}),
    *(("windows", {"length": text}) for text in (None, "many", "-64", "0", "65", str(2**62))),
    *(("windows", {"stride": text}) for text in (None, "many", "0")),
    *(("encoders", {"settings": text}) for text in (None, "{", "5", "{}", '{"name": "another"}')),
    ("encoders", {"settings": TPNSettings(channels=(4, 5), kernels=(8, 4)).model_dump_json()}),
    ("encoders", {"settings": TPNSettings().model_dump_json()}),
    ("encoders", {"settings": TPNSettings(channels=(2**40, 4), kernels=(8, 4)).model_dump_json()}),
    ("encoders", {"settings": '{"name": "transformer"}'}),
    *(("encoders", {"shape": text}) for text in (None, "{", "5", "[64]", "[64, 0]", "[64, 4]", '["a", "b"]')),
    *(("encoders", {"repeats": text}) for text in (None, "many", "-1", "1", "3", str(10**15))),
    ("encoders", {"fingerprint": None}),
    *(("checkpoint", {"training": text}) for text in (None, "b" * 64)),
    *(("checkpoint", {"epoch": text}) for text in (None, "many", "2")),
    *(("checkpoint", {"facts": text}) for text in (None, "{", "5")),
]


@pytest.mark.parametrize(("name", "entries"), HEADERS, ids=lambda value: str(value)[:60])
def test_a_forged_header_is_refused(name: str, entries: dict[str, Any], tmp_path: Path) -> None:
    form = BY_NAME[name]
    path = form.put(tmp_path)
    forge(path)
    form.check(form.read(path))
    forge(path, **entries)
    refused(form, path)


@pytest.mark.parametrize("text", ["[]", "5", "null", '"kind"', "[" * 100_000, '{"kind": ' * 50_000, "NaN", "1" * 9999])
def test_json_that_is_no_stamped_object_is_refused(text: str, tmp_path: Path) -> None:
    form = BY_NAME["facts"]
    path = form.put(tmp_path)
    path.write_text(text)
    refused(form, path)


@pytest.mark.parametrize("change", ["missing", "more", "shape", "type", "nan"])
def test_forged_weights_are_refused(change: str, tmp_path: Path) -> None:
    form = BY_NAME["encoders"]
    path = form.put(tmp_path)
    header, tensors = opened_tensors(path)
    name = "1.normalisation.deviation"
    value = tensors.pop(name)
    if change != "missing":
        forged = {"shape": value[:2].clone(), "type": value.double(), "nan": value * np.nan}
        tensors[name] = forged.get(change, value)
    if change == "more":
        tensors["2.weights"] = value.clone()
    write_tensors(tensors, path, **header)
    refused(form, path)


@pytest.mark.parametrize("form", [form for form in STORED if form.file.endswith(".safetensors")], ids=named)
@pytest.mark.parametrize("checksum", ["wrong", "missing"])
def test_weights_without_their_checksum_are_refused(form: Format, checksum: str, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    _, tensors = opened_tensors(path)
    if checksum == "wrong":
        name = sorted(tensors)[0]
        tensors[name] = tensors[name] + 1
    else:
        del header["checksum"]
    save_file(tensors, path, metadata=header)
    assert "does not have the checksum" in refused(form, path)


def replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


CONTENTS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no activity": lambda table: table.drop_columns(["activity"]),
    "one column more": lambda table: table.append_column("more", pa.array(range(len(table)))),
    "numbers as text": lambda table: table.set_column(
        table.column_names.index("activity"), "activity", pa.array(["1"] * len(table))
    ),
    "nobody": lambda table: replaced(table, "subject", [None] * len(table)),
    "missing activity": lambda table: replaced(table, "activity", [None] * len(table)),
    "undeclared activity": lambda table: replaced(table, "activity", [7] * len(table)),
}


@pytest.mark.parametrize("name", ["recordings", "windows"])
@pytest.mark.parametrize("change", CONTENTS)
def test_forged_columns_are_refused(name: str, change: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    path = form.put(tmp_path)
    forge(path)
    pq.write_table(CONTENTS[change](pq.read_table(path)), path)
    refused(form, path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    path = BY_NAME["recordings"].put(tmp_path / "recordings")
    forge(path)
    table = pq.read_table(path)
    pq.write_table(replaced(table, "x", [value] * len(table)), path)
    refused(BY_NAME["recordings"], path)
    path = BY_NAME["windows"].put(tmp_path / "windows")
    forge(path)
    table = pq.read_table(path)
    pq.write_table(replaced(table, "signal", [[value] * (64 * 3)] * len(table)), path)
    refused(BY_NAME["windows"], path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.mkdir ['{marker}']", "not valid YAML"),
        ("when: 2026-99-99", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("{description}\nactivities: 5", "activities: "),
        ("{description}\nsampling_rate_hz: .inf", "sampling_rate_hz: "),
        ("{description}\nchannels: [{{name: activity, unit: g}}]", "no channel can be named"),
        ("{description}\n1: 2", "1: "),
    ],
)
def test_a_hostile_description_is_refused(text: str, message: str, tmp_path: Path) -> None:
    form = BY_NAME["dataset.yml"]
    path = form.put(tmp_path)
    marker = tmp_path / "marker"
    path.write_text(text.format(marker=marker, description=yaml.safe_dump(OWN_DESCRIPTION)))
    assert message in refused(form, path)
    assert not marker.exists()


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
    "times too far apart": lambda frame: frame.assign(timestamp=np.append(np.arange(len(frame) - 1) / 50, 1e300)),
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


ARCHIVES = [
    ("motion_sense", "A_DeviceMotion_data/wlk_7/sub_1.csv"),
    ("usc_had", "USC-HAD/Subject1/a1t1.mat"),
]


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
@pytest.mark.parametrize("prefix", ["../", "a/../../", "/", "..\\", "C:\\", "\\\\server\\share\\", "link"])
def test_archives_that_point_outside_are_refused(dataset: str, inside: str, prefix: str, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "raw"
    folder.mkdir(parents=True)
    entry = zipfile.ZipInfo(inside if prefix == "link" else prefix + inside)
    if prefix == "link":
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    put_zip(folder / "data.zip", entry, b"../../secret")  # type: ignore[arg-type]
    before = files_below(tmp_path)
    with pytest.raises(BadRecordingError, match=r"data\.zip: its entry .* points out of the archive"):
        opened(dataset, lambda path: path)(folder)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
def test_a_file_that_unpacks_to_an_enormous_one_is_refused(
    dataset: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_LARGEST", 1 << 16)
    put_zip(tmp_path / "data.zip", inside, bytes(1 << 24))
    with pytest.raises(BadRecordingError, match=r"data\.zip: .* unpacks to more than 65536 bytes"):
        opened(dataset, lambda path: path)(tmp_path)


@pytest.mark.parametrize(("dataset", "inside"), ARCHIVES)
@pytest.mark.parametrize(
    ("what", "local", "central", "value"),
    [
        ("encrypted", 6, 8, struct.pack("<H", 1)),
        ("an unknown compression", 8, 10, struct.pack("<H", 77)),
        ("a declared size of 4 GiB", 22, 24, struct.pack("<L", 2**32 - 2)),
        ("a compressed size of 4 GiB", 18, 20, struct.pack("<L", 2**32 - 2)),
        ("another checksum", 14, 16, b"\0\0\0\0"),
    ],
)
def test_archives_that_lie_are_refused(
    dataset: str, inside: str, what: str, local: int, central: int, value: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "data.zip"
    put_zip(path, inside, b"content" * 100)
    content = bytearray(path.read_bytes())
    for place in (content.index(b"PK\x03\x04") + local, content.index(b"PK\x01\x02") + central):
        content[place : place + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(BadRecordingError, match=r"data\.zip"):
        opened(dataset, lambda path: path)(tmp_path)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with one to three places changed, cut out or inserted."""
    copy = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(copy) + 1))
        size = int(rng.choice([1, 1, 1, 4, 30]))
        match rng.choice(["flip", "overwrite", "cut", "insert", "truncate"], p=[0.4, 0.25, 0.15, 0.15, 0.05]):
            case "flip" if place < len(copy):
                copy[place] ^= 1 << int(rng.integers(8))
            case "overwrite":
                copy[place : place + size] = rng.choice([rng.bytes(size), b"\xff" * size, b"\0" * size])
            case "cut":
                del copy[place : place + size]
            case "insert":
                copy[place:place] = rng.bytes(size)
            case "truncate":
                del copy[place:]
    return bytes(copy)


@pytest.mark.filterwarnings("ignore")  # numbers that became absurd are, before they are refused
@pytest.mark.parametrize("form", ALL, ids=named)
def test_damaged_files_are_read_whole_or_refused(form: Format, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    content = path.read_bytes()
    refusals = 0
    for seed in range(FUZZ_BUDGET):
        path.write_bytes(damaged(content, np.random.default_rng(seed)))
        try:
            form.check(form.read(path))
        except form.error as error:
            assert type(error) is form.error, seed  # noqa: PT017
            assert str(path.parent) in str(error), seed  # noqa: PT017
            refusals += 1
    assert refusals > 0
