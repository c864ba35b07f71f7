"""Long work says how far it is: in a bar on a terminal, elsewhere in lines now and then."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
import torch

from contrastive_har.learning import progress, workers
from contrastive_har.learning.compute import Compute


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[io.StringIO], str]:
    def work(stream: io.StringIO) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        compute = Compute(torch.device("cpu"), False, 1)
        with progress.progress_bar("SimCLR", 200, "windows", compute, done=50) as bar:
            bar.set_postfix_str("epoch 2/4", refresh=False)
            bar.update(50)
            bar.update(100)
        return stream.getvalue()

    return work


def test_a_terminal_shows_a_bar(written: Callable[[io.StringIO], str]) -> None:
    shown = written(Terminal())
    assert shown.startswith("\rSimCLR  25%, ? windows/s, ? left |")
    assert shown.rpartition("\r")[2].startswith("SimCLR 100%, epoch 2/4, "), "the bar stays"


def test_elsewhere_lines_are_written_now_and_then(
    written: Callable[[io.StringIO], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(io.StringIO()) == "", "the work took no time"
    monkeypatch.setattr(progress, "EVERY", 0.0)
    shown = written(io.StringIO())
    assert "\r" not in shown
    lines = shown.splitlines()
    assert [line.partition("%")[0] for line in lines] == ["SimCLR  25", "SimCLR  50", "SimCLR 100"]
    assert all(line.endswith(" left") for line in lines)


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_one_of_several_workers_shows_its_progress(
    stream: type[io.StringIO], written: Callable[[io.StringIO], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(workers._this, "is_quiet", True)
    assert written(stream()) == ""
