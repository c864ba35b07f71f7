"""Tracking on a server, which may vanish while a run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from contrastive_har.files.tables import read_table
from tests.pipelines import chaos
from tests.pipelines.conftest import Project, empty_tracking_database


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start MLflow's server; end it afterwards, if it has not ended before."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    with (folder / "server.txt").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.3)
        else:
            raise AssertionError((folder / "server.txt").read_text()[-3000:])
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(project: Project, name: str, job: int) -> None:
    """Wait until something is stored that was not there before."""
    before = set(project.path.glob(f"data/**/{name}/*/{name}"))
    deadline = time.monotonic() + 300
    while set(project.path.glob(f"data/**/{name}/*/{name}")) == before:
        assert time.monotonic() < deadline
        assert os.waitpid(job, os.WNOHANG) == (0, 0), (project.path / "log.txt").read_text()[-3000:]
        time.sleep(0.05)


@pytest.mark.slow  # MLflow tries again for a minute
def test_a_vanished_server_ends_the_run_and_the_next_one_succeeds(
    project: Project, finished_few: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (project.path / "server.db").write_bytes(empty_tracking_database())
    address = f"http://127.0.0.1:{port}"
    (project.path / "conf/local/mlflow.yml").write_text(
        f"tracking_uri: {address}\nexperiment: contrastive_har\nartifact_location: null\n"
    )
    for stored in ("encoders.safetensors", "report_summary.md"):
        with server(project.path, port) as process:
            job = chaos.start(project)
            wait_for(project, stored, job)
            os.killpg(process.pid, signal.SIGKILL)
            _, state = os.waitpid(job, 0)
        assert os.waitstatus_to_exitcode(state) in (1, chaos.REFUSED)
        last = json.loads(project.newest("run_log.jsonl").read_text().splitlines()[-1])
        assert last["level"] == "ERROR"
        assert f"127.0.0.1:{port}" in last["message"]
        assert "Traceback" in last["exception"]
        chaos.check_files(project)
        assert not list(project.path.glob("data/**/.writing-*"))
    with server(project.path, port):
        scores = chaos.finish(project)
        mlflow.set_tracking_uri(address)
        runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert sorted(run.info.status for run in parents) == ["FINISHED", "KILLED", "KILLED"]
        assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
        assert mlflow.MlflowClient().search_registered_models()
    first = min(finished_few.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet"))
    pd.testing.assert_frame_equal(scores, read_table(first, "scores"))
