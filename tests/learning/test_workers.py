"""Several workers must compute what one process does, bit for bit, and leave nothing behind."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_har.files.errors import raised_in
from contrastive_har.learning.compute import Compute, ComputeSettings
from contrastive_har.learning.evaluation import EvaluationPlan, evaluate
from contrastive_har.learning.evaluation.settings import EvaluationSettings
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining import PretrainingBudget, PretrainingPlan, pretrain
from contrastive_har.signals.windows import Windows
from tests.learning.test_learning import budgets, divide

REPEATS = 3


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def compute_all(windows: Windows, workers: int | str) -> tuple[list[torch.Tensor], list[pd.DataFrame]]:
    compute = ComputeSettings.model_validate({"device": "cpu", "workers": workers})
    roles = divide(windows, ["10 %", "50 %"], repeats=REPEATS)
    budget = PretrainingBudget(epochs=2, batch_size=64, learning_rate=1e-3)
    plan = PretrainingPlan(name="test", objective=ContrastiveSettings(), budget=budget, repeats=REPEATS, seed=3)
    encoders, history = pretrain(
        windows, [roles.members(repeat, "pretrain") for repeat in range(REPEATS)], plan, compute
    )
    evaluations = {
        "adam": {"learning_rate": 0.1, "epochs": 2, "batch_size": 16},
        "fitted": {"head": {"name": "logistic"}, "self_training": {"rounds": 2}},
        "augmented": {"head": {"name": "logistic"}, "augmented": {"view": [{"name": "scaling"}]}},
        "tuned": {"trained_stages": 1, "learning_rate": 0.01, "epochs": 2, "batch_size": 16},
    }
    judged = EvaluationPlan(
        name="test",
        evaluations={
            name: EvaluationSettings.model_validate({"title": "", **one}) for name, one in evaluations.items()
        },
        label_budgets=budgets("10 %", "50 %"),
        shown=budgets("10 %")[0],
    )
    predictions, curves, heads = evaluate(windows, roles, encoders, judged, compute)
    weights = [*(state for one in encoders.weights for state in one.values())]
    weights += [state for head in heads for state in head.weights.values()]
    return weights, [history.drop(columns=["seconds", "windows_per_second"]), predictions, curves]


def test_numbers_do_not_depend_on_the_number_of_workers(windows: Windows, threads: None) -> None:
    torch.set_num_threads(1)
    weights, tables = compute_all(windows, 1)
    for workers in (2, 3):
        torch.set_num_threads(workers)
        other_weights, other_tables = compute_all(windows, "auto")
        assert all(torch.equal(one, other) for one, other in zip(weights, other_weights, strict=True))
        for one, other in zip(tables, other_tables, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def report(compute: Compute, parts: Sequence[int]) -> list[tuple[int, int, bool]]:
    logging.getLogger("some.module").warning("part %d", parts[0])
    return [(part, torch.get_num_threads(), compute.shows_progress) for part in parts]


def test_threads_are_divided_and_records_logged(threads: None, caplog: pytest.LogCaptureFixture) -> None:
    torch.set_num_threads(4)
    found = list(ComputeSettings(device="cpu", workers=2).side_by_side(report, range(3)))
    assert found == [(0, 2, True), (1, 2, True), (2, 2, False)]
    assert [(record.name, record.message) for record in caplog.records] == [
        ("some.module", "part 0"),
        ("some.module", "part 2"),
    ]


def fail(compute: Compute, parts: Sequence[int]) -> list[int]:
    raise FloatingPointError(f"the loss of {parts[0]} is not finite")


def test_errors_are_those_of_the_work() -> None:
    with pytest.raises(FloatingPointError, match="the loss of 0 is not finite") as raised:
        list(ComputeSettings(device="cpu", workers=2).side_by_side(fail, range(2)))
    assert raised_in(raised.value) == Path(__file__)
    assert "in fail" in str(raised.value.__cause__), "the log has the traceback"


def is_shared(shared: np.ndarray, compute: Compute, parts: Sequence[int]) -> list[bool]:
    (_,) = [line for line in Path("/proc/self/maps").read_text().splitlines() if "contrastive_har_" in line]
    shared[0] = 1 + parts[0]  # a copy of its own
    return [shared.sum() == 1 + parts[0]]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="files of Linux")
def test_large_arrays_are_mapped_and_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.zeros(2**20)
    work = partial(is_shared, array)
    assert list(ComputeSettings(device="cpu", workers=2).side_by_side(work, range(2))) == [True, True]
    assert not array.any()
    assert not list(tmp_path.iterdir()), "files are deleted"


def write_and_wait(folder: Path, array: np.ndarray, compute: Compute, parts: Sequence[int]) -> list[int]:
    (folder / str(os.getpid())).touch()
    time.sleep(60)
    return []


def start_and_wait(folder: str) -> None:
    work = partial(write_and_wait, Path(folder), np.zeros(2**20))
    list(ComputeSettings(device="cpu", workers=2).side_by_side(work, range(2)))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    tmp_path = tmp_path / "started"
    tmp_path.mkdir()
    # A shell starts its background jobs with interrupts ignored, and they hand that on.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"from tests.learning.test_workers import start_and_wait; start_and_wait({str(tmp_path)!r})"
    variables = {**os.environ, "TMPDIR": str(arrays)}
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, env=variables)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.send_signal(sent)
    parent.wait(timeout=50)  # workers wait for 60
    wait_until(lambda: not any(is_alive(int(path.name)) for path in tmp_path.iterdir()))
    assert not list(arrays.iterdir()), "no array stays on the disk"


def wait_until(done: object, seconds: float = 60) -> None:
    assert callable(done)
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.1)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_is_handed_a_gpu_repeats_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    handed = pickle.dumps(Compute(torch.device("cuda"), bfloat16=False, inference_batch=8))
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    assert pickle.loads(handed).device.type == "cuda"
    assert torch.backends.cudnn.deterministic


def test_workers_share_a_gpu_if_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert ComputeSettings(device="cuda", workers="auto").pool() is None
    assert ComputeSettings(device="cuda", workers=1).pool() is None
    pool = ComputeSettings(device="cuda", workers=10).pool()
    assert pool is not None
    assert pool.count == 10
