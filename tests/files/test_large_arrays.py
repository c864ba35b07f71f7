"""Arrays in mapped files are those that they would be in memory, in any process, and leave no file behind."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from contrastive_har.files import large_arrays
from contrastive_har.files.large_arrays import MappedArrays, allocate, unpickle
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, batches, pretrain
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from tests.learning.examples import SMALL

LARGE = 2**20


@pytest.fixture
def no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let no array fit into memory; return the folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 0)
    return folder


def test_an_array_that_fits_is_in_memory() -> None:
    assert type(allocate((3, 4))) is np.ndarray


def test_an_array_that_does_not_fit_is_a_file_without_a_name(no_memory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    array = allocate((1000, 4, 3))
    assert isinstance(array, np.memmap)
    assert (array.shape, array.dtype) == ((1000, 4, 3), np.float32)
    array[:] = 7
    assert not list(no_memory.iterdir())
    assert "are kept in a temporary file" in caplog.text
    before = len(large_arrays._files)
    del array
    gc.collect()
    assert len(large_arrays._files) == before - 1, "the file is closed"


def test_a_full_disk_is_said(no_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(OSError, match="; set TMPDIR to a folder with more space"):
        allocate((1000,))


def test_equal_arrays_are_written_once() -> None:
    large, small = np.random.default_rng(0).normal(size=LARGE), np.arange(3)
    with MappedArrays() as mapped:
        first, second = (mapped.pickle({"large": large, "again": large[:], "small": small}) for _ in range(2))
        assert len(list(mapped.folder.iterdir())) == 1
        assert len(first[0]) < 2000
        assert first == second
        back = unpickle(*first)
    for name, array in {"large": large, "again": large, "small": small}.items():
        np.testing.assert_array_equal(back[name], array)
    assert not mapped.folder.exists()


def test_tensors_are_written_as_arrays() -> None:
    tensors = [torch.arange(LARGE, dtype=torch.float32), torch.ones(3), torch.ones(2, dtype=torch.bfloat16)]
    parameter = torch.nn.Parameter(torch.ones(4))
    with MappedArrays() as mapped:
        back = unpickle(*mapped.pickle([*tensors, parameter]))
        assert len(list(mapped.folder.iterdir())) == 1
    assert all(torch.equal(one, other) for one, other in zip([*tensors, parameter], back, strict=True))
    assert isinstance(back[-1], torch.nn.Parameter)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files of Linux")
def test_a_mapped_file_is_not_written_again(no_memory: Path) -> None:
    array = allocate((LARGE, 2))
    array[:] = np.arange(LARGE)[:, None]
    with MappedArrays() as mapped:
        pickled, parts = mapped.pickle((array[1001:], torch.from_numpy(array)))
        assert not list(mapped.folder.iterdir())
        code = (
            "import pickle, sys; from contrastive_har.files.large_arrays import unpickle;"
            "part, whole = unpickle(*pickle.load(sys.stdin.buffer)); part[0] = -1;"
            "print(part.shape, part[1, 0], whole.shape, float(whole[1001, 0]), float(whole[-1, 1]))"
        )
        given = pickle.dumps((pickled, parts))
        done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert done.stdout.decode() == "(1047575, 2) 1002.0 torch.Size([1048576, 2]) 1001.0 1048575.0\n"
    assert array[1001, 0] == 1001, "changes stay in the other process"


def test_windows_that_do_not_fit_are_the_same(
    no_memory: Path, windows: Windows, recordings: Recordings, tmp_path: Path
) -> None:
    path = tmp_path / "windows.parquet"
    write_windows(cut_windows(recordings, WindowSettings(length=windows.length, stride=windows.stride)), path)
    read = read_windows(path)
    assert isinstance(read.signals, np.memmap)
    np.testing.assert_array_equal(read.signals, windows.signals)
    for name in windows.layout.modalities:
        np.testing.assert_array_equal(read.only([name]).signals, windows.only([name]).signals)


def test_training_does_not_depend_on_the_memory(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train() -> list[torch.Tensor]:
        budget = PretrainingBudget(epochs=2, batch_size=40, learning_rate=1e-3)
        plan = PretrainingPlan(objective=ContrastiveSettings(projection=(4,)), backbone=SMALL, budget=budget)
        encoders, _ = pretrain(windows, [np.arange(0, 100, 2)], plan, ComputeSettings(device="cpu"))
        return list(encoders.weights[0].values())

    held = train()
    monkeypatch.setattr(batches, "fits_in_memory", lambda size: False)
    assert all(torch.equal(one, other) for one, other in zip(held, train(), strict=True))
