"""Free memory is that of the machine, or what is left of the limit of a container."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from contrastive_har.files import memory


@pytest.mark.parametrize(
    ("limit", "free"),
    [(None, 1000), ("max\n", 1000), ("500\n", 470), ("5000\n", 1000), ("20\n", 0)],
)
def test_free_memory(limit: str | None, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(memory, "_LIMITS", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.stat").write_text("anon 30\nfile 400\n")
    assert memory.free_memory() == free


def test_this_process_has_some() -> None:
    assert memory.free_memory() > 0
