"""Disturbs a project at random and checks what must hold: ``python -m tests.pipelines.chaos --steps=500``.

A step kills the main job at a random moment, runs some of its stages, runs it twice at once, removes old runs while it
is running, flips a bit in a stored file, moves the folder of the project, or lets the job come to its end, each with
one of two seeds. After each step every visible version of every file is whole, nothing else is visible, and no run is
marked as finished that is not. All scores are those of a project that nobody disturbed: no result has been computed
from others than its own.
"""

from __future__ import annotations

import argparse
import atexit
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_har.files.checksums import CHECKSUM, is_whole
from contrastive_har.files.tables import read_table
from contrastive_har.pipeline_registry import STAGES
from contrastive_har.runs import cleaning, moving
from contrastive_har.runs.manifest import MANIFEST, Manifests
from contrastive_har.runs.refusals import find_refusal
from tests.pipelines.conftest import Project, make_project

METHODS = ("supervised", "clusterclhar")
SEEDS = (2026, 7)
TROUBLES = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
REFUSED = 3  # exit status
TRACKED = """
SELECT status FROM runs
WHERE lifecycle_stage = 'active' AND run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')
ORDER BY start_time DESC
"""


def start(project: Project, seed: int = SEEDS[0], stages: tuple[str, ...] = (), **params: str) -> int:
    """Start the job, or some stages of it, in a process of its own; return its number.

    The job goes on with what is there.
    """
    if stages:
        return fork(project, lambda: project.run(",".join(stages), seed=seed))
    return fork(project, lambda: project.run(resume=True, seed=seed, **params))


def fork(project: Project, work: Callable[[], object]) -> int:
    """Do something in a process of its own; return its number.

    The exit status is ``REFUSED`` after a refusal.
    """
    number = os.fork()  # everything heavy is imported already
    if number:
        return number
    code = 1
    try:
        with (project.path / "log.txt").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            work()
        code = 0
    except SystemExit as end:
        code = int(str(end.code))
    except BaseException as error:  # noqa: BLE001 - whatever it was, this process must not go on as the harness
        code = 1 if find_refusal(error) is None else REFUSED
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def wait(number: int) -> int:
    """Wait for a process; return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def pause(number: int, seconds: float) -> None:
    """Wait for some seconds, or until a process has ended, whose exit status is still to be asked for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.05)


def finish(project: Project, seed: int = SEEDS[0]) -> pd.DataFrame:
    """Let the job come to its end; return its scores."""
    if wait(start(project, seed)) != 0:
        sys.exit(f"the job failed:\n{(project.path / 'log.txt').read_text()[-4000:]}")
    newest = next(Manifests.of(project.path).newest_first())
    name = "semi_supervised.scores"
    (folder,) = project.path.glob("data/08*/my_data/semi_supervised/scores.parquet")
    return read_table(folder / newest.versions[name] / folder.name, "scores")


def check_files(project: Project, flipped: Collection[Path] = ()) -> None:
    """Check that every visible version is whole, but for those in which a bit was flipped, and every manifest too."""
    for path in project.path.glob("data/0[2-8]*/**/*"):
        if not path.is_file() or _is_hidden(path) or {"checkpoints", f"{MANIFEST}.json"} & set(path.parts):
            continue
        if path.suffix != ".jsonl" and path not in flipped:
            assert is_whole(path), path
    list(Manifests.of(project.path).newest_first())


class Chaos:
    """A project that is disturbed, and the scores of one that is not.

    Args:
        folder: An empty folder.
        chance: Source of all random choices.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        for name in ("undisturbed", "disturbed"):
            (folder / name).mkdir()
        undisturbed = make_project(folder / "undisturbed", METHODS)
        begun = time.monotonic()
        self.scores = {seed: finish(undisturbed, seed) for seed in SEEDS}
        self.longest = (time.monotonic() - begun) / len(SEEDS)  # seconds of a job
        if self.scores[SEEDS[0]].equals(self.scores[SEEDS[1]]):
            raise AssertionError("the scores of the seeds must differ, or nothing could be told from them")
        self.project = make_project(folder / "disturbed", METHODS)
        self.flipped: set[Path] = set()
        self.checked: set[tuple[Path, int]] = set()
        self.steps: Counter[str] = Counter()
        self.next: list[Callable[[], str]] = []

    def step(self) -> None:
        """Do one thing, and check what must hold after it; all kinds of things come about equally often."""
        if not self.next:
            self.next = [self.kill, self.kill, self.part, self.part, self.flip, self.end]
            self.next += [self.run_twice, self.clean, self.move]
            self.chance.shuffle(self.next)
        self.steps[self.next.pop()()] += 1
        check_files(self.project, self.flipped)
        self.check_scores()

    def kill(self) -> str:
        """Kill the job at a random moment."""
        number = start(self.project, self.chance.choice(SEEDS))
        pause(number, self.chance.uniform(0.2, self.longest))
        os.kill(number, self.chance.choice(TROUBLES))
        status = wait(number)
        self.check_tracking(status)
        return "kills" if status else "ends"

    def part(self) -> str:
        """Run stages that follow one another, with what is there."""
        first, last = sorted(self.chance.choices(range(len(STAGES)), k=2))
        status = wait(start(self.project, self.chance.choice(SEEDS), STAGES[first : last + 1]))
        self.require(status in (0, REFUSED))
        self.check_tracking(status)
        return "refusals" if status else "parts"

    def run_twice(self) -> str:
        """Run the job twice at once: as two runs, or as one, which the second process is refused."""
        same = self.chance.random() < 0.3
        params = {"run_id": f"{datetime.now(UTC):%Y-%m-%dT%H.%M.%S}.000Z"} if same else {}
        seeds = [self.chance.choice(SEEDS)] * 2 if same else self.chance.choices(SEEDS, k=2)
        numbers = []
        for seed in seeds:
            numbers.append(start(self.project, seed, **params))
            pause(numbers[-1], self.chance.choice((0, self.chance.uniform(0, self.longest))))
        statuses = [wait(number) for number in numbers]
        self.require(set(statuses) <= ({0, REFUSED} if same else {0}) and 0 in statuses)
        self.check_tracking(0)
        return "pairs"

    def clean(self) -> str:
        """Remove old runs at a random moment of the job, which ends well."""
        seed = self.chance.choice(SEEDS)
        number = start(self.project, seed)
        pause(number, self.chance.uniform(0, self.longest))
        keep = self.chance.randint(1, 3)
        cleaned = wait(fork(self.project, lambda: cleaning.clean(self.project.path, keep)))
        self.require(wait(number) == 0 and cleaned == 0)
        self.check_tracking(0)
        return "removals"

    def move(self) -> str:
        """Move the folder of the project: refused, until its paths are corrected, if any have been tracked."""
        before, tracked = self.project.path, self.select("SELECT 1 FROM experiments WHERE name = 'contrastive_har'")
        after = before.with_name(f"moved_{self.steps['moves']}")
        before.rename(after)
        self.project = Project(after)
        self.flipped = {after / path.relative_to(before) for path in self.flipped}
        self.require(wait(start(self.project)) == (REFUSED if tracked else 0))
        self.require(wait(fork(self.project, lambda: moving.correct(self.project.path))) == 0)
        return "moves"

    def select(self, query: str) -> list[Any]:
        """Ask the tracking database, which MLflow would keep open; nothing if there is none, as after a refusal."""
        path = self.project.path / "mlflow.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as database:
            return database.execute(query).fetchall()

    def require(self, holds: bool) -> None:
        """End with the log of the project if something does not hold."""
        if not holds:
            raise AssertionError((self.project.path / "log.txt").read_text()[-8000:])

    def flip(self) -> str:
        """Flip a bit in a stored file."""
        there = [path for path in self.versions() if path not in self.flipped]
        if not there:
            return "nothing"
        path = self.chance.choice(there)
        content = bytearray(path.read_bytes())
        bit = self.chance.randrange(8 * len(content))
        content[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(content)
        self.flipped.add(path)
        return "flips"

    def end(self) -> str:
        """Let the job come to its end; half of the times, start over."""
        seed = self.chance.choice(SEEDS)
        pd.testing.assert_frame_equal(finish(self.project, seed), self.scores[seed])
        self.check_tracking(0)
        if self.chance.random() < 0.5:
            for stage in self.project.path.glob("data/0[2-8]*"):
                shutil.rmtree(stage)
            if self.chance.random() < 0.5:
                (self.project.path / "mlflow.db").unlink()
        return "ends"

    def versions(self) -> list[Path]:
        """Return all visible versions, in a fixed order."""
        stored = sorted(self.project.path.glob(f"data/0[2-8]*/**/{CHECKSUM}"))
        return [beside.with_name(beside.parents[1].name) for beside in stored if not _is_hidden(beside.parent)]

    def check_scores(self) -> None:
        """Check that all visible scores are those of the undisturbed project with the seed of their run."""
        manifests = Manifests.of(self.project.path)
        for path in self.project.path.glob("data/0[78]*/my_data/**/scores.parquet/*/scores.parquet"):
            state = (path, path.stat().st_mtime_ns)
            if path in self.flipped or state in self.checked or _is_hidden(path.parent):
                continue
            self.checked.add(state)
            found, manifest = read_table(path, "scores"), manifests.find(path.parent.name)
            assert manifest is not None, path
            expected = self.scores[manifest.parameters["seed"]]
            split, method = path.parts[-5:-3]
            if split != "my_data":  # of one cell
                of_cell = (expected["split"] == split) & (expected["method"] == method)
                expected = expected[of_cell].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, expected)

    def check_tracking(self, status: int) -> None:
        """Check the state of the newest tracked run, and that nothing but one that was killed seems to be running."""
        states = [state for (state,) in self.select(TRACKED)]
        killed = int(status != 0)  # the next start that is not refused marks it
        assert states.count("RUNNING") <= killed, states
        if status == 0:
            assert states[0] == "FINISHED", states
        assert set(states) <= {"FINISHED", "FAILED", "KILLED", "RUNNING"}, states


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def main() -> None:
    """Disturb as often as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    chaos = Chaos(Path(tempfile.mkdtemp(dir=arguments.folder)), random.Random(arguments.seed))
    for step in range(arguments.steps):
        chaos.step()
        sys.stdout.write(f"\r{step + 1} steps")
        sys.stdout.flush()
    for seed in SEEDS:
        pd.testing.assert_frame_equal(finish(chaos.project, seed), chaos.scores[seed])
    check_files(chaos.project, chaos.flipped)
    chaos.check_tracking(0)
    counted = ", ".join(f"{count} {what}" for what, count in sorted(chaos.steps.items()))
    sys.stdout.write(f": {counted}; all scores are those of an undisturbed project\n")


if __name__ == "__main__":
    main()
