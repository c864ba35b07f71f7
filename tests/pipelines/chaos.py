"""Kills the main job at random moments and checks what must hold: ``python -m tests.pipelines.chaos --kills=300``.

After every kill each visible version of every file can be read, and nothing else is visible. The next start marks the
killed run in MLflow and goes on; a job that comes to its end has the scores of one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
from safetensors import safe_open

from contrastive_har.files.tables import read_table
from tests.pipelines.conftest import FEW, Project, make_project

LONGEST = 6.0  # seconds before a kill
TROUBLES = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)


def start(project: Project) -> int:
    """Start the job, going on with what is there, in a process of its own; return its number."""
    number = os.fork()  # everything heavy is imported already
    if number:
        return number
    code = 1
    try:
        with (project.path / "log.txt").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            project.run(resume=True)
        code = 0
    except SystemExit as end:
        code = int(str(end.code))
    except BaseException:  # noqa: BLE001 - whatever it was, this process must not go on as the harness
        traceback.print_exc()
    finally:
        import atexit

        atexit._run_exitfuncs()
        os._exit(code)


def check_files(project: Project, known: set[tuple[Path, int]] | None = None) -> None:
    """Read every visible version of every file, but for those known to be whole from an earlier look."""
    known = set() if known is None else known
    for path in project.path.glob("data/0[2-8]*/**/*"):
        if not path.is_file() or any(part.startswith(".") or part == "checkpoints" for part in path.parts):
            continue
        if (state := (path, path.stat().st_mtime_ns)) in known:
            continue
        known.add(state)
        if path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                assert file.keys(), path
        elif path.suffix == ".png":
            assert path.read_bytes()[-8:-4] == b"IEND", path
        else:
            assert path.read_text().rstrip()[-1] in "}>.", path


def read_scores(project: Project) -> pd.DataFrame:
    """Read the newest scores."""
    return read_table(max(project.path.glob("data/08*/*/*/scores.parquet/*/scores.parquet")), "scores")


def finish(project: Project) -> pd.DataFrame:
    """Let the job come to its end."""
    _, state = os.waitpid(start(project), 0)
    if os.waitstatus_to_exitcode(state) != 0:
        sys.exit(f"the job failed:\n{(project.path / 'log.txt').read_text()[-4000:]}")
    return read_scores(project)


def check_tracking(project: Project) -> None:
    """Nothing may seem to be running when nothing is."""
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    states = {run.info.status for run in runs}
    assert "RUNNING" not in states, states
    assert {run.info.status for run in runs if "mlflow.parentRunId" not in run.data.tags} <= {
        "FINISHED",
        "FAILED",
        "KILLED",
    }


def main() -> None:
    """Kill as often as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    for name in ("undisturbed", "disturbed"):
        (folder / name).mkdir()
    undisturbed = finish(make_project(folder / "undisturbed", FEW))
    project = make_project(folder / "disturbed", FEW)
    ended = 0
    known: set[tuple[Path, int]] = set()
    for kill in range(arguments.kills):
        number = start(project)
        time.sleep(chance.uniform(0.2, LONGEST))
        trouble = chance.choice(TROUBLES)
        os.kill(number, trouble)
        _, state = os.waitpid(number, 0)
        check_files(project, known)
        if os.waitstatus_to_exitcode(state) == 0:  # too late to be killed
            ended += 1
            pd.testing.assert_frame_equal(read_scores(project), undisturbed)
            shutil.rmtree(project.path / "data/02_intermediate")
            for stage in project.path.glob("data/0[3-8]*"):
                shutil.rmtree(stage)
        sys.stdout.write(f"\r{kill + 1} kills")
    pd.testing.assert_frame_equal(finish(project), undisturbed)
    check_files(project)
    check_tracking(project)
    sys.stdout.write(f": {ended + 1} ends reached, each with the scores of an undisturbed run\n")


if __name__ == "__main__":
    main()
