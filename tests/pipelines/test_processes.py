"""The identity of processes: what cannot be found out counts as running."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrastive_har.runs import processes
from contrastive_har.runs.processes import describe_process, is_dead, is_here, this_process

FIELDS = ("host", "machine", "boot", "namespace", "card", "number", "started")
SAY_WHO = (
    "import sys; from contrastive_har.runs.processes import *; print(this_process(), flush=True); sys.stdin.read()"
)


def changed(process: str, **fields: str) -> str:
    return " ".join({**dict(zip(FIELDS, process.split(" "), strict=True)), **fields}.values())


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and its name."""
    with subprocess.Popen(
        [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()
        process.kill()


def hide_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the files of all processes unreadable, as hidepid does."""
    read = Path.read_text

    def hidden(path: Path, *arguments: str, **options: str) -> str:
        if path.name == "stat":
            raise PermissionError(path)
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", hidden)


def test_a_process_is_dead_once_it_has_ended(other: tuple[subprocess.Popen[str], str]) -> None:
    process, name = other
    assert not is_dead(name)
    assert not is_dead(this_process())
    assert is_dead(changed(name, started="1")), "the number belongs to another process now"
    process.kill()
    deadline = time.monotonic() + 10
    while not is_dead(name):  # before its parent has asked about it
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.wait()
    assert is_dead(name)
    assert f"process {process.pid} of" in describe_process(name)


def test_a_hidden_process_is_alive(other: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    process, name = other
    hide_processes(monkeypatch)
    assert not is_dead(name)
    assert not is_dead(this_process())
    process.kill()
    process.wait()
    assert is_dead(name), "no process has the number"


def test_processes_elsewhere_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = changed(this_process(), started="1")
    assert is_dead(ended)
    assert not is_dead(changed(ended, machine="another-of-the-same-name"))
    assert not is_dead(changed(ended, namespace="pid:[1]")), "another container"
    assert not is_dead("elsewhere 1 1"), "as an older release wrote it"
    assert not is_dead(changed(this_process(), boot="an-earlier-one", namespace="pid:[1]")), "a container elsewhere"
    monkeypatch.setattr(processes, "_namespace", lambda: "pid:[4026531836]")  # not in a container
    ended = changed(this_process(), started="1")
    assert is_dead(changed(this_process(), boot="an-earlier-one"))
    assert not is_dead(changed(this_process(), boot="an-earlier-one", namespace="pid:[1]"))
    with monkeypatch.context() as network:
        network.setattr(processes.uuid, "getnode", lambda: 0x02AB00000001)
        assert is_dead(ended), "the network of this machine has changed"
        assert is_here(ended)
        assert not is_dead(changed(ended, boot="of-the-clone")), "it has the machine's id and name"
        network.setattr(processes.uuid, "getnode", lambda: 0x03AB00000001)  # made up, for want of a card
        assert is_dead(changed(ended, boot="an-earlier-one"))
    assert not is_here(changed(ended, boot="another-one"))
    assert not is_dead(ended.rpartition(" ")[0].rpartition(" ")[0] + " a b"), "it was not written here"
    identity = Path("/etc/machine-id")
    assert not identity.exists() or identity.read_text().strip() not in this_process(), "it is secret"
    monkeypatch.setattr(processes, "_read", lambda path: "unknown")
    assert not is_dead(changed(this_process(), boot="another-one"))
