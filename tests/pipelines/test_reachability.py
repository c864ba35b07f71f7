"""Servers that can be reached, on free ports of this machine, and those that cannot."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from contrastive_har.runs.reachability import does_not_answer


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_that_is_being_started_is_waited_for() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/mlflow"
        assert "does not answer" in str(does_not_answer(uri, patience=0.1))
        threading.Timer(1.5, server.listen).start()
        began = time.monotonic()
        assert does_not_answer(uri, patience=10) is None
        assert 1 < time.monotonic() - began < 9


def test_others_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database is no server, and what is behind a proxy only the proxy can reach."""
    assert does_not_answer("sqlite:///mlflow.db", patience=0.1) is None
    assert does_not_answer("databricks", patience=0.1) is None
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert does_not_answer("http://127.0.0.1:1", patience=0.1) is None
