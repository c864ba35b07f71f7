"""Files that are foreign, cut off, damaged or of another release: each reader refuses them and names the file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.files import stamps
from contrastive_har.files.tables import write_facts, write_table
from contrastive_har.files.tensors import write_tensors
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.checkpoints import Checkpoint
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.runs.manifest import Manifests
from contrastive_har.signals.recordings import Recording
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recognisers import TrainedRecogniser
from tests.files.formats import ALL, BY_NAME, RUN, STORED, Format, named, refused

FUZZ_BUDGET = 100  # damaged files of each format
FLIPS = 200  # single bits in each stored file


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


@pytest.mark.parametrize("form", [form for form in ALL if not form.parts_are_files], ids=named)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_a_truncated_file_is_refused(form: Format, share: float, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(form, path)


@pytest.mark.parametrize("form", [form for form in STORED if form.name != "manifest"], ids=named)
def test_a_missing_file_is_named(form: Format, tmp_path: Path) -> None:
    path = form.put(tmp_path)
    path.unlink()
    refused(form, path)


@pytest.mark.parametrize("form", [form for form in STORED if form.name != "manifest"], ids=named)
def test_another_version_is_refused(form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stamps, "SCHEMA_VERSION", "1")
        path = form.put(tmp_path)
    assert "schema version 1, this release reads 3. Run the pipeline again" in refused(form, path)


def test_manifests_of_other_releases_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = BY_NAME["manifest"]
    with monkeypatch.context() as patched:
        patched.setattr(stamps, "SCHEMA_VERSION", "2")
        path = form.put(tmp_path)
    assert form.read(path) == []
    assert Manifests(path.parents[1]).find(RUN) is None


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


def contents(value: Any) -> Any:
    """What can be compared of a value that was read: arrays and tables as bytes, objects by their attributes."""
    match value:
        case pd.DataFrame():
            return value.to_csv(), value.dtypes.astype(str).to_dict(), str(value.attrs)
        case np.ndarray() | torch.Tensor():
            array = np.asarray(value)
            return str(array.dtype), array.shape, array.tobytes()
        case Mapping():
            return {key: contents(part) for key, part in value.items()}
        case list() | tuple():
            return [contents(part) for part in value]
        case Recording() | Windows() | Roles() | EncoderSet() | TrainedHead() | TrainedRecogniser() | Checkpoint():
            return contents(vars(value))
        case _:
            return repr(value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", STORED, ids=named)
def test_no_flipped_bit_is_read_as_another_value(form: Format, tmp_path: Path) -> None:
    """Of bits all over the file; footers and headers hold values, too."""
    path = form.put(tmp_path)
    content = path.read_bytes()
    before = contents(form.read(path))
    refusals = 0
    for bit in np.random.default_rng(0).integers(8 * len(content), size=FLIPS):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            read = form.read(path)
        except form.error:
            refusals += 1
        else:
            assert contents(read) == before, bit
    assert refusals > FLIPS // 4


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with one to three parts changed, cut out or inserted."""
    copy = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(len(copy) + 1))
        size = int(rng.choice([1, 1, 1, 4, 30]))
        match rng.choice(["flip", "overwrite", "cut", "insert", "truncate"], p=[0.4, 0.25, 0.15, 0.15, 0.05]):
            case "flip" if start < len(copy):
                copy[start] ^= 1 << int(rng.integers(8))
            case "overwrite":
                copy[start : start + size] = rng.choice([rng.bytes(size), b"\xff" * size, b"\0" * size])
            case "cut":
                del copy[start : start + size]
            case "insert":
                copy[start:start] = rng.bytes(size)
            case "truncate":
                del copy[start:]
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
