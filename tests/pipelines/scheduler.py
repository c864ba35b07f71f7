"""Runs a DAG under a real Airflow: ``python -m tests.pipelines.scheduler --airflow=.venv-airflow/bin/airflow``.

On tiny data, with everything Airflow has in a temporary folder. A DAG run, one whose pre-training is killed and tried
again, and one of which a finished task is cleared: each must be one tracked run that has ended well and one version of
everything, with the same scores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import psutil
import requests
import yaml
from kedro.framework.startup import bootstrap_project

from contrastive_har.files.tables import read_table
from contrastive_har.runs.dags import write_dags
from contrastive_har.runs.manifest import Manifests
from tests.pipelines.conftest import FEW, TINY, Project, make_project

DAG = "contrastive_har_semi_supervised"
KILLED = "semi_supervised.paper.simclr.pretraining"
CLEARED = "semi_supervised.reporting"
PATIENCE = 1200.0  # seconds for a DAG run: each task starts Python with torch


def make_small_project(folder: Path) -> Project:
    """Make a project that ``kedro run`` finishes soon, but whose pre-training can be met in the middle."""
    project = make_project(folder, FEW)
    longer = {**TINY["semi_supervised"], "budget": {"epochs": 40, "batch_size": 128}}
    parameters = {**project.tiny, "semi_supervised": longer, "compute": {"checkpoint_every": 1}}
    dataset = {"dataset": parameters.pop("dataset")}
    airflow = {"schedule": None, "retry_delay_minutes": 0.05, "pipelines": ["semi_supervised"]}
    for name, content in (("parameters", parameters), ("globals", dataset), ("airflow", airflow)):
        (folder / f"conf/local/{name}.yml").write_text(yaml.safe_dump(content))
    with contextlib.chdir(folder):
        bootstrap_project(folder)
        write_dags(folder)
    return project


def free_ports(count: int) -> list[int]:
    """Find ports of this machine that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


@contextlib.contextmanager
def scheduler(airflow: Path, project: Project, home: Path) -> Iterator[Airflow]:
    """Start all that Airflow consists of; end it, and whatever it has started, afterwards."""
    port, task_logs, trigger_logs = free_ports(3)
    settings = {
        "CORE__DAGS_FOLDER": project.path / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__PARALLELISM": 2,
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "LOGGING__WORKER_LOG_SERVER_PORT": task_logs,
        "LOGGING__TRIGGER_LOG_SERVER_PORT": trigger_logs,
    }
    environment = os.environ | {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
    environment |= {"AIRFLOW_HOME": str(home), "PATH": f"{airflow.parent}{os.pathsep}{os.environ['PATH']}"}
    with (home / "standalone.txt").open("w") as log:
        process = psutil.Popen([airflow, "standalone"], cwd=home, env=environment, stdout=log, stderr=log)
    try:
        yield Airflow(process, f"http://127.0.0.1:{port}")
    finally:
        parts = [process, *process.children(recursive=True)]
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for part in parts:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(part)
            _, parts = psutil.wait_procs(parts, timeout=60)


class Airflow:
    """Airflow over its API.

    Args:
        process: Whose children all tasks are.
        address: Of the API.
    """

    def __init__(self, process: psutil.Popen, address: str) -> None:
        self.process = process
        self._address = address
        self._headers: dict[str, str] = {}

    def wait_until_ready(self) -> None:
        """Wait until the DAG is known."""
        self._until("Airflow starts and reads the DAG", self._is_ready, 300)

    def trigger(self, **conf: str) -> str:
        """Start a DAG run; return its id."""
        return str(self._call("POST", "dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"])

    def clear(self, run: str, task: str) -> None:
        """Have a finished task run again."""
        what = {"dag_run_id": run, "task_ids": [task], "only_failed": False, "dry_run": False}
        self._call("POST", "clearTaskInstances", what)

    def wait_for(self, run: str) -> None:
        """Wait for the end of a DAG run, which must be a good one."""
        state = self._until(f"the DAG run {run} ends", lambda: self._ended(run), PATIENCE)
        if state != "success":
            tasks = self._call("GET", f"dagRuns/{run}/taskInstances")["task_instances"]
            raise AssertionError(f"the DAG run {run}: {[(task['task_id'], task['state']) for task in tasks]}")

    def tries(self, run: str) -> dict[str, int]:
        """Return how often each task was begun."""
        tasks = self._call("GET", f"dagRuns/{run}/taskInstances")["task_instances"]
        return {task["task_id"]: task["try_number"] for task in tasks}

    def kill(self, node: str, checkpoints: Path) -> None:
        """Kill the process that runs a node, when there is a checkpoint that was stored after its start."""

        def find_at_work() -> psutil.Process | None:
            running = (each for each in self.process.children(recursive=True) if f"--nodes={node}" in words_of(each))
            states = [path.stat().st_mtime for path in checkpoints.glob("*/*.safetensors")]
            return next((each for each in running if any(time > each.create_time() for time in states)), None)

        self._until(f"{node} is at work", find_at_work, PATIENCE, pause=0.05).kill()

    def _until(self, what: str, look: Callable[[], Any], patience: float, pause: float = 2) -> Any:
        deadline = time.monotonic() + patience
        while not (found := look()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"waited in vain: {what}")
            time.sleep(pause)
        return found

    def _is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            token = requests.get(f"{self._address}/auth/token", timeout=30).json()["access_token"]
            self._headers = {"Authorization": f"Bearer {token}"}
            return bool(self._call("GET", "details"))
        return False

    def _ended(self, run: str) -> str | None:
        state = self._call("GET", f"dagRuns/{run}")["state"]
        return str(state) if state in ("success", "failed") else None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = f"{self._address}/api/v2/dags/{DAG}/{path}"
        answer = requests.request(method, address, json=body, headers=self._headers, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())


def words_of(process: psutil.Process) -> list[str]:
    """Return what a process was called with; nothing of one that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.cmdline())
    return []


def versions_of(project: Project) -> dict[Path, set[str]]:
    """Return the visible versions of everything that is stored."""
    found: dict[Path, set[str]] = {}
    for path in project.path.glob("data/0[2-8]*/**/*/*/*"):
        if path.name == path.parents[1].name:
            found.setdefault(path.parents[1], set()).add(path.parent.name)
    return found


def tracked(project: Project) -> tuple[list[str], list[str]]:
    """Return the tracked runs, the oldest first, and for each part its run; all must have ended well."""
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True, order_by=["start_time"], output_format="list")
    assert {run.info.status for run in runs} == {"FINISHED"}, {run.info.run_id: run.info.status for run in runs}
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    return [run.info.run_id for run, parent in zip(runs, parents, strict=True) if not parent], [*filter(None, parents)]


def check(project: Project, count: int) -> pd.DataFrame:
    """Check what so many DAG runs must have left; return the newest scores."""
    manifests = list(Manifests(project.path / "data/08_reporting/run_manifest.json").newest_first())
    ids = {manifest.run_id for manifest in manifests}
    stored = versions_of(project)
    assert len(ids) == count, ids
    assert all(versions == ids for versions in stored.values()), stored
    runs, parts = tracked(project)
    assert runs == [manifest.tracked_run for manifest in reversed(manifests)], (runs, manifests)
    assert len({parts.count(run) for run in runs}) == 1, "each tracked run has the same number of parts"
    say(f"{count} tracked runs with {parts.count(runs[0])} parts each, {count} versions of {len(stored)} data sets")
    (scores,) = project.path.glob(f"data/08*/*/*/scores.parquet/{max(ids)}/scores.parquet")
    return read_table(scores, "scores")


def say(text: str) -> None:
    """Say what has been checked, and when."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Check all that the module promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", type=Path, required=True, help="the program, of an environment of its own")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    for name in ("project", "airflow"):
        (folder / name).mkdir()
    say(f"Everything, logs included, lies in {folder}.")
    project = make_small_project(folder / "project")
    with scheduler(arguments.airflow.absolute(), project, folder / "airflow") as airflow:
        airflow.wait_until_ready()
        version = subprocess.run([arguments.airflow, "version"], capture_output=True, text=True, check=True).stdout
        say(f"Airflow {version.strip()} is ready.")

        undisturbed = airflow.trigger(dataset="my_data")
        airflow.wait_for(undisturbed)
        assert set(airflow.tries(undisturbed).values()) == {1}, airflow.tries(undisturbed)
        scores = check(project, 1)
        say(f"A run of {len(airflow.tries(undisturbed))} tasks ended well.")

        disturbed = airflow.trigger(dataset="my_data")
        states = project.path / "data/06_models/my_data/semi_supervised/checkpoints"
        airflow.kill(KILLED.replace("pretraining", "pretrain_encoders"), states)
        say(f"Killed {KILLED}.")
        airflow.wait_for(disturbed)
        assert {task for task, tries in airflow.tries(disturbed).items() if tries != 1} == {KILLED}
        pd.testing.assert_frame_equal(check(project, 2), scores)
        say("It was tried again, and that run ended with the same scores.")

        airflow.clear(disturbed, CLEARED)
        airflow.wait_for(disturbed)
        assert airflow.tries(disturbed)[CLEARED] == 2
        pd.testing.assert_frame_equal(check(project, 2), scores)
        say(f"{CLEARED} was cleared and ran again.")


if __name__ == "__main__":
    main()
