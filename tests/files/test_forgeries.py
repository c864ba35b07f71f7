"""Stored files with a right stamp and a wrong content: headers, weights, columns and rows that no writer writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from contrastive_har.files.tables import parquet_writer, write_facts
from contrastive_har.files.tensors import write_tensors
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from tests.files.formats import (
    ARCHITECTURE,
    BY_NAME,
    DESCRIPTION,
    LAYOUT,
    RUN,
    SETTINGS,
    STORED,
    Format,
    named,
    refused,
)


def forge(path: Path, **entries: Any) -> None:
    """Rewrite a stored file with other entries in its header and without those that are None."""

    def changed(header: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in {**header, **entries}.items() if value is not None}

    if path.suffix == ".json":
        header = changed(json.loads(path.read_text()))
        write_facts(header.pop("facts", None), path, header["kind"])
    elif path.suffix == ".parquet":
        put_table(pq.read_table(path), path, changed(header_of(path)))
    else:
        header, tensors = opened_tensors(path)
        write_tensors(tensors, path, **changed(header))


def header_of(path: Path) -> dict[str, str]:
    """Return the metadata of a Parquet file, as a writer takes it."""
    stored = {**pq.read_schema(path).metadata, **pq.read_metadata(path).metadata}
    return {key.decode(): value.decode() for key, value in stored.items() if key not in (b"ARROW:schema", b"checksum")}


def put_table(table: pa.Table, path: Path, header: dict[str, str]) -> None:
    """Write a table with right checksums."""
    table = table.replace_schema_metadata(header)
    with parquet_writer(path, table.schema) as (writer, _):
        writer.write_table(table)


def opened_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Return a file's header, as write_tensors takes it, and its tensors, unchecked."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata()
    return {key: header[key] for key in header.keys() - {"schema_version", "checksum"}}, tensors


def other_description(**changes: object) -> str:
    return json.dumps({**DESCRIPTION.model_dump(mode="json"), **changes})


def other_backbone(channels: tuple[int, int]) -> dict[str, Any]:
    return BackboneSettings(encoder=TPNSettings(channels=channels, kernels=(8, 4))).model_dump(mode="json")


def other_layout(**changes: object) -> str:
    return json.dumps({**LAYOUT.model_dump(mode="json"), **changes})


def other_architecture(**changes: object) -> str:
    whole = {**ARCHITECTURE.model_dump(mode="json"), **changes}
    return json.dumps({key: value for key, value in whole.items() if value is not None})


def channels(**modalities: str) -> list[dict[str, str]]:
    """Return channels by name, each of a modality."""
    return [{"name": name, "unit": "g", "modality": modality} for name, modality in modalities.items()]


FACTS = {"repeat": 0, "evaluation": "linear", "label_budget": "10 %", "validation_macro_f1": 0.5}
FACTS_AND_HEAD = {**FACTS, "head": {"name": "linear"}}
ORIGIN = {"protocol": "x", "split": "x", "method": "x", "evaluation": "x", "label_budget": "10 %", "repeat": 0}
APART = channels(x="inertial", y="skeleton", z="inertial")
HEADERS: list[tuple[str, dict[str, Any]]] = [
    *(("facts", {"facts": facts}) for facts in (None, 5, "text", [1])),
    *(("manifest", {"facts": facts}) for facts in (None, 5, {}, {"run_id": RUN})),
    ("manifest", {"facts": {"run_id": "../..", "code": "", "packages": {}, "parameters": {}}}),
    *(("recordings", {"description": text}) for text in (None, "", "{", "5", "{}")),
    ("recordings", {"description": other_description(activities=5)}),
    ("recordings", {"description": other_description(activities={"7": "a", "8": "b"}, recognised=[])}),
    ("recordings", {"description": other_description(channels=[{"name": "w", "unit": "g"}])}),
    ("recordings", {"description": other_description(channels=[{"name": "subject", "unit": "g"}])}),
    ("recordings", {"description": other_description(channels=APART)}),
    *(
        ("recordings", {"description": other_description(groups=groups)})
        for groups in (5, [], ["day"], ["session", "day"], ["session", "session"], ["subject"], ["x"])
    ),
    *(("recordings", {"rejections": text}) for text in (None, "{", "5", "[5]", '[{"a": "b"}]')),
    *(("windows", {"description": text}) for text in (None, "{", "{}", other_description(activities=5))),
    ("windows", {"description": other_description(activities={"7": "a", "8": "b"}, recognised=[])}),
    ("windows", {"description": other_description(channels=[{"name": "w", "unit": "g"}])}),
    ("windows", {"description": other_description(channels=APART)}),
    *(
        ("windows", {"description": other_description(groups=groups)})
        for groups in (5, [], ["day"], ["session", "day"], ["session", "session"], ["signal"])
    ),
    *(("windows", {"length": text}) for text in (None, "many", "-64", "0", "65", str(2**62))),
    *(("windows", {"stride": text}) for text in (None, "many", "0")),
    *(("encoders", {"settings": text}) for text in (None, "{", "5", "{}", '{"name": "another"}')),
    ("encoders", {"settings": '{"encoder": {"name": "another"}}'}),
    ("encoders", {"settings": '{"encoder": {"name": "transformer"}}'}),
    ("encoders", {"settings": '{"encoders": 5}'}),
    *(
        ("encoders", {"settings": json.dumps(settings)})
        for settings in (
            {"encoder": TPNSettings().model_dump()},
            {"encoder": SETTINGS.model_dump(), "encoders": {"inertial": TPNSettings().model_dump()}},
            other_backbone((4, 5)),
            other_backbone((2**40, 4)),
        )
    ),
    *(("encoders", {"layout": text}) for text in (None, "{", "5", "[64]", "{}")),
    *(("encoders", {"layout": other_layout(length=length)}) for length in (0, -64, "a", None)),
    *(("encoders", {"layout": other_layout(channels=these)}) for these in (5, [], ["x", "y", "z"], APART)),
    ("encoders", {"layout": other_layout(channels=channels(x="inertial", y="inertial"))}),
    ("encoders", {"layout": other_layout(channels=channels(x="inertial", y="inertial", z="skeleton"))}),
    ("encoders", {"layout": other_layout(channels=channels(w="inertial", x="inertial", y="inertial", z="inertial"))}),
    ("encoders of two modalities", {"settings": BackboneSettings(encoder=SETTINGS).model_dump_json()}),
    ("encoders of two modalities", {"layout": LAYOUT.model_dump_json()}),
    *(("encoders", {"repeats": text}) for text in (None, "many", "-1", "1", "3", str(10**15))),
    ("encoders", {"fingerprint": None}),
    *(("heads", {"heads": text}) for text in (None, "{", "5", "{}", "[5]", "[{}]")),
    ("heads", {"heads": json.dumps([FACTS])}),
    ("heads", {"heads": json.dumps([FACTS_AND_HEAD] * 3)}),
    *(
        ("heads", {"heads": json.dumps([{**FACTS_AND_HEAD, **changes}] * 2)})
        for changes in (
            {"more": 1},
            {"repeat": "many"},
            {"label_budget": 0.1},
            {"head": {"name": "another"}},
            {"head": {"name": "mlp", "hidden": []}},
            {"modalities": "inertial"},
        )
    ),
    *(("recogniser", {"architecture": text}) for text in (None, "{", "5", "[]", "{}")),
    *(
        ("recogniser", {"architecture": other_architecture(**changes)})
        for changes in (
            {"length": None},
            {"length": 0},
            {"stride": "many"},
            {"more": 1},
            {"description": None},
            {"description": {**DESCRIPTION.model_dump(mode="json"), "activities": 5}},
            {"description": {**DESCRIPTION.model_dump(mode="json"), "recognised": [0, 1]}},
            {"description": {**DESCRIPTION.model_dump(mode="json"), "channels": channels(x="inertial")}},
            {"description": {**DESCRIPTION.model_dump(mode="json"), "channels": APART}},
            {"backbone": None},
            {"backbone": {"encoder": {"name": "another"}}},
            {"backbone": {"encoder": {"name": "transformer"}}},
            {"backbone": other_backbone((4, 5))},
            {"backbone": other_backbone((2**60, 4))},
            {"head": None},
            {"head": {"name": "another"}},
            {"head": {"name": "mlp"}},
            {"head": {"name": "ridge"}},
        )
    ),
    *(("recogniser", {"origin": text}) for text in (None, "{", "5", "{}", json.dumps(ORIGIN))),
    *(
        ("recogniser", {"calibration": text})
        for text in ("{", "5", '{"temperature": 0}', '{"temperature": -1}', '{"temperature": "hot"}', '{"more": 1}')
    ),
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
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("encoders", "1.deviation"),
        ("encoders", "1.encoders.0.convolutions.0.weight"),
        ("encoders of two modalities", "1.encoders.1.convolutions.0.weight"),
        ("recogniser", "backbone.deviation"),
        ("recogniser", "head.linear.weight"),
        ("recogniser", "reference.scale"),
    ],
)
def test_forged_weights_are_refused(form: str, name: str, change: str, tmp_path: Path) -> None:
    path = BY_NAME[form].put(tmp_path)
    header, tensors = opened_tensors(path)
    value = tensors.pop(name)
    if change != "missing":
        forged = {"shape": value[1:].clone(), "type": value.double(), "nan": value * np.nan}
        tensors[name] = forged.get(change, value)
    if change == "more":
        tensors["2.weights"] = value.clone()
    write_tensors(tensors, path, **header)
    refused(BY_NAME[form], path)


@pytest.mark.parametrize("name", ["x.head.linear.weight", "head.linear.weight", ""])
def test_weights_of_no_head_are_refused(name: str, tmp_path: Path) -> None:
    form = BY_NAME["heads"]
    path = form.put(tmp_path)
    header, tensors = opened_tensors(path)
    write_tensors({**tensors, name: torch.ones(1)}, path, **header)
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


def without(*names: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(list(names))


def filled(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    """Put one value into every row of a column, whose type stays."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        return table.set_column(table.column_names.index(name), field, pa.array([value] * len(table), field.type))

    return change


def retyped(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    """Put one value of another type into every row of a column."""
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array([value] * len(table)))


def begun(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    """Put a value into the first row of a column, whose type stays."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        values = pa.array([value, *table[name].to_pylist()[1:]], field.type)
        return table.set_column(table.column_names.index(name), field, values)

    return change


def widened(table: pa.Table) -> pa.Table:
    return table.append_column("more", pa.array(range(len(table))))


MEASURED: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no activity": without("activity"),
    "no group": without("session"),
    "one column more": widened,
    "numbers as text": retyped("activity", "1"),
    "groups as numbers": retyped("session", 2),
    "nobody": filled("subject", None),
    "missing activity": filled("activity", None),
    "missing group": filled("session", None),
    "undeclared activity": filled("activity", 7),
}
CONTENTS: dict[str, dict[str, Callable[[pa.Table], pa.Table]]] = {
    "recordings": MEASURED,
    "windows": {
        **MEASURED,
        "no end": without("end"),
        "missing end": filled("end", None),
        "an end at the start": filled("end", 0),
        "an end before the start": filled("end", -1),
        "other numbers": filled("window", 5),
    },
    "roles": {
        "no role": without("role"),
        "no label budget": without("label_budget"),
        "one column more": widened,
        "no rows": lambda table: table.slice(0, 0),
        "an unknown role": begun("role", "tests"),
        "missing role": begun("role", None),
        "roles as numbers": retyped("role", 1),
        "two splits": begun("split", "another"),
        "missing split in one row": begun("split", None),
        "missing split": filled("split", None),
        "splits as numbers": retyped("split", 1),
        "missing repeat": begun("repeat", None),
        "repeats as text": retyped("repeat", "1"),
        "missing window": begun("window", None),
        "windows as text": retyped("window", "1"),
        "windows between two": retyped("window", 1.5),
    },
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, changes in CONTENTS.items() for change in changes]
)
def test_forged_columns_are_refused(name: str, change: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    path = form.put(tmp_path)
    forge(path)
    form.check(form.read(path))
    put_table(CONTENTS[name][change](pq.read_table(path)), path, header_of(path))
    assert "something else" not in refused(form, path), "the stamp is still there"


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("name", "column", "count"), [("recordings", "x", None), ("windows", "signal", 64 * 3)])
def test_samples_that_are_no_numbers_are_refused(
    name: str, column: str, count: int | None, value: float, tmp_path: Path
) -> None:
    form = BY_NAME[name]
    path = form.put(tmp_path)
    forge(path)
    put_table(filled(column, [value] * count if count else value)(pq.read_table(path)), path, header_of(path))
    refused(form, path)
