"""Runs: parts that belong together, manifests, going on after a crash, and the state others see meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from contrastive_har.catalog.atomic import AtomicDataset
from contrastive_har.files.tables import read_table
from contrastive_har.learning import pretraining
from contrastive_har.runs import cleaning
from contrastive_har.runs.manifest import Manifest, Manifests
from contrastive_har.runs.processes import PROCESS, _started, is_dead, this_process
from tests.pipelines.conftest import ROOT, Project

SPLITS = ("paper", "subject_wise")
NODES = ("assign_roles", "audit_leakage", "check_methods")
EARLY, LATE = "2026-01-31T12.00.00.000Z", "2026-01-31T12.00.00.001Z"


def manifests(project: Project) -> Manifests:
    return Manifests(project.path / "data/08_reporting/run_manifest.json")


def manifest(project: Project, run_id: str) -> Manifest:
    found = manifests(project).find(run_id)
    assert found is not None
    return found


def versions_of(project: Project, name: str) -> set[str]:
    return {path.parent.name for path in project.path.glob(f"data/**/{name}/*/{name}")}


def tracked(project: Project) -> list[mlflow.entities.Run]:
    mlflow.set_tracking_uri(f"sqlite:///{project.path / 'mlflow.db'}")
    return list(mlflow.search_runs(search_all_experiments=True, output_format="list"))


def test_parts_of_a_run_share_versions_and_a_tracked_run(project: Project) -> None:
    project.run("ingestion", run_id=EARLY)
    project.run("ingestion", run_id=LATE)
    for run_id in (EARLY, LATE):
        project.run("windowing", run_id=run_id)
    assert versions_of(project, "recordings.parquet") == versions_of(project, "windows.parquet") == {EARLY, LATE}
    first = manifest(project, EARLY)
    assert first.pipelines == ["ingestion", "windowing"]
    assert first.versions["recordings"] == EARLY, "the later run's recordings were there already"
    of_splits = {f"semi_supervised.{split}.{node}" for split in SPLITS for node in NODES}
    of_protocol = {"semi_supervised.cut_windows", "semi_supervised.summarise_windows"}
    assert set(first.nodes) == {"ingest", "summarise_recordings", *of_protocol, *of_splits}
    assert {run.data.tags["kedro.run_id"] for run in tracked(project)} == {EARLY, LATE}
    assert len(tracked(project)) == 2

    project.run("windowing", run_id=EARLY)  # a cleared task
    assert versions_of(project, "windows.parquet") == {EARLY, LATE}
    assert not list(project.path.rglob(".replaced-*"))
    assert len(tracked(project)) == 2
    assert {run.info.status for run in tracked(project)} == {"FINISHED"}


def test_a_tracked_run_has_the_state_of_all_its_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> str:
        (run,) = tracked(project)
        return str(run.info.status)

    project.run("ingestion", run_id=EARLY)
    monkeypatch.setattr("contrastive_har.signals.leakage.count_leakage", None)
    with pytest.raises(TypeError):
        project.run("windowing", run_id=EARLY)
    assert state() == "FAILED"
    project.run("ingestion", run_id=EARLY)
    assert state() == "FAILED", "another part has ended well"
    monkeypatch.undo()
    project.run("windowing", run_id=EARLY)
    assert state() == "FINISHED", "the part that had failed too"

    with subprocess.Popen(["sleep", "60"]) as other:  # a part at work beside
        at_work = " ".join([*this_process().split()[:-2], str(other.pid), _started(other.pid)])
        manifests(project).update(EARLY, lambda known: known.model_copy(update={"parts": {"other": at_work}}))
        project.run("windowing", run_id=EARLY)
        assert state() == "RUNNING"
        assert tracked(project)[0].data.tags[PROCESS] == at_work
        other.kill()
    project.run("ingestion", run_id=EARLY)
    assert state() == "FAILED", "it was killed"


def test_a_run_keeps_its_parameters(project: Project) -> None:
    project.run("ingestion", run_id=EARLY)
    with pytest.raises(ValueError, match=r"had other parameters: seed\. Give the --env and --params"):
        project.run("ingestion", run_id=EARLY, seed=1)
    with pytest.raises(ValueError, match=r"run_id 'tuesday' is not a time"):
        project.run("ingestion", run_id="tuesday")


def test_a_manifest_says_where_everything_comes_from(finished_few: Project) -> None:
    newest = next(iter(manifests(finished_few).newest_first()))
    first = list(manifests(finished_few).newest_first())[-1]
    assert newest.packages["torch"]
    assert first.pipelines == ["semi_supervised"], "the default one, by its name"
    assert first.parameters["semi_supervised"]["budget"]["epochs"] == 2
    assert first.versions["semi_supervised.scores"] == first.run_id
    assert first.versions["recordings"] == first.run_id
    assert "semi_supervised.paper.simclr.pretrain_encoders" in first.nodes
    assert first.tracked_run in {run.info.run_id for run in tracked(finished_few)}


def test_a_report_is_written_again_and_nothing_else(finished_few: Project) -> None:
    first = list(manifests(finished_few).newest_first())[-1]
    report = finished_few.path / f"data/08_reporting/my_data/semi_supervised/report.html/{first.run_id}/report.html"
    scores = {path: path.stat().st_mtime_ns for path in finished_few.path.glob("data/07*/**/*.parquet/*/*")}
    before, children = report.read_text(), len(tracked(finished_few))
    report.unlink()
    finished_few.run("report", run_id=first.run_id)
    strip = lambda text: text.split('<h2 id="cost">')[0]  # noqa: E731 - times, and the command, differ
    assert strip(report.read_text()) == strip(before)
    assert {path: path.stat().st_mtime_ns for path in finished_few.path.glob("data/07*/**/*.parquet/*/*")} == scores
    assert len(tracked(finished_few)) == children


def test_old_runs_are_removed_but_what_kept_ones_have_read(project: Project) -> None:
    first, second, third = (f"2026-01-3{day}T12.00.00.000Z" for day in (0, 1, 1))
    third = third.replace("T12", "T13")
    project.run("ingestion", run_id=EARLY.replace("-31T", "-29T"))
    project.run("ingestion", run_id=first)
    project.run("windowing", run_id=second)
    project.run("windowing", run_id=third)
    with pytest.raises(ValueError, match="at least the newest run stays"):
        cleaning.clean(project.path, 0)
    abandoned, wanted = (project.path / f"data/06_models/d/p/s/m/checkpoints/{name}" for name in ("old", "new"))
    half_written = project.path / "data/03_primary/d/p/windows.parquet/.writing-1"
    for folder, age in ((abandoned, 2026), (wanted, 2027), (half_written, 2026)):
        folder.mkdir(parents=True)
        (folder / ".writing-2").write_bytes(b"12345")
        time = datetime(age, 1, 1, tzinfo=UTC).timestamp()
        for path in (folder / ".writing-2", folder):
            os.utime(path, (time, time))
    planned = cleaning.plan(project.path, 1)
    assert set(planned.versions) == {EARLY.replace("-31T", "-29T"), second, cleaning.UNFINISHED}, (
        "the newest has read the first's recordings"
    )
    assert [path for path in planned.versions[cleaning.UNFINISHED] if path.is_dir()] == [half_written, abandoned]
    cleaning.clean(project.path, 1)
    assert versions_of(project, "recordings.parquet") == {first}
    assert versions_of(project, "windows.parquet") == {third}
    assert {run.data.tags["kedro.run_id"] for run in tracked(project)} == {first, third}
    assert not cleaning.plan(project.path, 1).versions
    project.run("windowing", run_id=third)


def scores_of(project: Project) -> pd.DataFrame:
    return read_table(max(project.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet")), "scores")


def test_resuming_skips_what_is_finished_and_ends_the_same(
    project: Project, finished_few: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    run = pretraining.Trainer.run

    def noted(self: pretraining.Trainer, *arguments: Any) -> Any:
        if len(trained) == 3:
            raise MemoryError("no memory left")
        trained.append(self.title)
        return run(self, *arguments)

    monkeypatch.setattr(pretraining.Trainer, "run", noted)
    with pytest.raises(MemoryError):
        project.run()
    before, trained[:] = list(trained), []
    with pytest.raises(MemoryError):
        project.run(resume=True)
    monkeypatch.setattr(pretraining.Trainer, "run", run)
    project.run(resume=True)
    assert not set(before[:2]) & set(trained), "a method with two repeats was finished"
    pd.testing.assert_frame_equal(scores_of(project), list_scores(finished_few))
    windows = versions_of(project, "windows.parquet")
    assert len(windows) == 1, "cut once"
    resumed = next(iter(manifests(project).newest_first()))
    assert resumed.versions["semi_supervised.windows"] in windows, "it belongs to the run that went on, too"
    split, method, _ = before[0].split()
    assert resumed.versions[f"semi_supervised.{split}.{method}.encoders"] < resumed.run_id
    assert not list(project.path.glob("data/06*/**/checkpoints/*"))

    project.run(resume=True, seed=7)
    assert len(versions_of(project, "windows.parquet")) == 1, "windows do not depend on the seed"
    assert len({path.parent.name for path in project.path.glob("data/05*/**/roles.parquet/*/*")}) == 2


def list_scores(finished_few: Project) -> pd.DataFrame:
    return read_table(min(finished_few.path.glob("data/08_reporting/*/*/scores.parquet/*/scores.parquet")), "scores")


@pytest.mark.parametrize(
    ("stages", "file"),
    [
        pytest.param(("ingestion",), "recordings.parquet", marks=pytest.mark.slow),
        pytest.param(("ingestion", "windowing"), "windows.parquet", marks=pytest.mark.slow),
        pytest.param(("ingestion", "windowing"), "roles.parquet", marks=pytest.mark.slow),
        pytest.param(("ingestion", "windowing"), "leakage.json", marks=pytest.mark.slow),
        pytest.param(("ingestion", "windowing"), "method_check.json", marks=pytest.mark.slow),
        (("ingestion", "windowing", "pretraining"), "history.parquet"),
    ],
)
def test_a_full_disk_leaves_nothing_half_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, stages: tuple[str, ...], file: str
) -> None:
    original = AtomicDataset._format

    def full(self: AtomicDataset, filepath: str) -> Any:
        if not filepath.endswith(file):
            return original(self, filepath)

        class Full:
            def save(self, data: object) -> None:
                Path(filepath).write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")

            def load(self) -> object:
                raise AssertionError

        return Full()

    monkeypatch.setattr(AtomicDataset, "_format", full)
    for stage in stages[:-1]:
        project.run(stage)
    with pytest.raises(Exception, match="No space left on device"):
        project.run(stages[-1])
    assert not versions_of(project, file)
    assert not list(project.path.rglob(".writing-*"))
    assert tracked(project)[0].info.status == "FAILED"
    trained = stages[-1] == "pretraining"
    assert bool(list(project.path.glob("data/06*/**/checkpoints/*/*"))) == trained, "what was learned is not lost"
    monkeypatch.setattr(AtomicDataset, "_format", original)
    for stage in ("ingestion", "windowing", *stages[2:]):
        project.run(stage)
    assert versions_of(project, file)
    assert not list(project.path.glob("data/06*/**/checkpoints/*"))


def test_the_exit_status_tells_how_it_ended(project: Project) -> None:
    small = {name: value for name, value in project.tiny.items() if name != "dataset"}
    (project.path / "conf/local/parameters.yml").write_text(yaml.safe_dump(small))
    (project.path / "conf/local/globals.yml").write_text(f"dataset: {project.tiny['dataset']}\n")

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "kedro", "run", *arguments]
        return subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    good, bad, ended = start("--pipeline=ingestion"), start("--params=dataset=nothing"), start()
    said, _ = good.communicate(timeout=300)
    assert good.returncode == 0, said
    assert "Time:" in said
    said, _ = bad.communicate(timeout=300)
    assert bad.returncode == 1
    assert "unknown data set 'nothing'" in said
    deadline = time.monotonic() + 300
    while not versions_of(project, "windows.parquet") and time.monotonic() < deadline:
        time.sleep(0.1)
    ended.terminate()
    ended.communicate(timeout=300)
    assert ended.returncode == 128 + signal.SIGTERM
    assert "RUNNING" not in {run.info.status for run in tracked(project)}


def test_the_run_of_a_dead_process_is_marked_at_the_next_start(project: Project) -> None:
    project.run("ingestion")
    (run,) = tracked(project)
    client = mlflow.MlflowClient()
    ended = subprocess.run(
        [sys.executable, "-c", "from contrastive_har.runs.processes import *; print(this_process())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert is_dead(ended)
    assert not is_dead(this_process())
    client.update_run(run.info.run_id, status="RUNNING")
    client.set_tag(run.info.run_id, PROCESS, ended)
    child = client.create_run(run.info.experiment_id, tags={"mlflow.parentRunId": run.info.run_id})
    project.run("ingestion")
    states = {found.info.run_id: found.info.status for found in tracked(project)}
    assert states[run.info.run_id] == states[child.info.run_id] == "KILLED"
    assert sorted(states.values()) == ["FINISHED", "KILLED", "KILLED"]


@pytest.mark.parametrize("steps", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_disturbances_at_random_moments(tmp_path: Path, steps: int) -> None:
    """The first steps have one of each kind; see tests/pipelines/chaos.py for what must hold after each."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.pipelines.chaos", f"--steps={steps}", "--seed=82", f"--folder={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    assert f"{steps} steps: " in ran.stdout
    shutil.rmtree(tmp_path)
